//! Nothing passes an SMMUv2 whatever firmware left behind (Arm IHI 0062, SMMU_sCR0, SMMU_S2CRn).

use super::features::{Features, Lookup};
use super::register_map::*;
use crate::memory::publish;
use crate::{IommuError, RegisterFrame};

/// sCR0 from here on: CLIENTPD, which lets everything pass, is 0; unmatched and doubly matched streams fault, faults abort, nothing stalls, VMIDs are private.
pub const DENYING: u32 = GFRE | STALLD | USFCFG | VMIDPNE | PTM | SMCFCFG;

/// Denies every stream every access, and forgets every translation.
///
/// An SMMUv2 comes out of reset letting everything pass, with arbitrary entries; or firmware left it translating. So the order matters:
/// first unmatched streams fault, then every entry does, and only then the SMMU takes clients' accesses. At no point does a stream reach
/// more than firmware let it reach before.
///
/// # Errors
/// [`IommuError::Stuck`] names the register that did not answer.
pub fn deny_all(registers: &mut impl RegisterFrame, features: &Features) -> Result<(), IommuError> {
    let found = registers.read(SCR0);
    registers.write(SCR0, found & !(GFIE) | DENYING);
    for entry in 0..features.entries {
        registers.write(S2CR + 4 * entry, TO_FAULT);
    }
    publish();
    if let Lookup::Matching { .. } = features.lookup {
        for entry in 0..features.entries {
            registers.write(SMR + 4 * entry, 0);
        }
    }
    let extended = match features.is_extended() {
        true => EXIDENABLE,
        false => 0,
    };
    registers.write(SCR0, DENYING | extended);
    for bank in 0..features.banks {
        registers.write(features.bank(bank, SCTLR), 0);
        clear(registers, features.bank(bank, FSR));
    }
    clear(registers, GFSR);
    publish();
    registers.write(TLBIALLH, 0);
    registers.write(TLBIALLNSNH, 0);
    synchronize(registers)
}

/// Forgets the faults in a status register: each bit goes when it is written as 1.
pub fn clear(registers: &mut impl RegisterFrame, status: usize) {
    let found = registers.read(status);
    registers.write(status, found);
}

/// Waits until what was forgotten is used by no access any more.
///
/// # Errors
/// [`IommuError::Stuck`].
pub fn synchronize(registers: &mut impl RegisterFrame) -> Result<(), IommuError> {
    registers.write(STLBGSYNC, 0);
    registers.wait_for(STLBGSTATUS, GSACTIVE, 0)
}
