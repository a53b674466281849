//! Trapped system registers: a table of which register answers how. Pure; the values of identification registers come from the caller.
//!
//! A guest sees a CPU without the features that would let it escape our view, or whose state nobody saves: each identification
//! register is masked field by field, unlisted fields read as "not implemented". What is in no table is undefined to the guest.

#[cfg(feature = "v3")]
use super::controller;

/// Op0:Op1:CRn:CRm:Op2 as one number, the order of `ESR_EL2.ISS` (Arm ARM C5.3).
pub const fn register(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> u16 {
    (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2
}

/// How a trapped register answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A register of a GICv3's CPU interface.
    #[cfg(feature = "v3")]
    Controller(controller::Register),
    /// Reads give the CPU's own value of this identification register through a mask.
    Identification(Masked),
    /// Reads as zero, writes are ignored.
    Zero,
    /// Undefined instruction.
    Undefined,
}

/// An identification register and which of its fields a guest sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masked {
    /// Which one.
    pub register: Identification,
    /// Bits that are shown as the CPU has them; the others are zero.
    pub keep: u64,
}

/// Identification registers whose real value matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the architecture's own")]
pub enum Identification {
    Pfr0,
    Pfr1,
    Dfr0,
    Isar0,
    Isar1,
    Isar2,
    Mmfr0,
    Mmfr1,
    Mmfr2,
    /// One of the AArch32 group, ID_PFR0_EL1 … MVFR2_EL1, by CRm (1 to 3) and Op2.
    Aarch32(u8, u8),
}

/// A mask of 4-bit fields, named by their lowest bits.
#[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
const fn fields(lowest: &[u32]) -> u64 {
    let mut mask = 0;
    let mut i = 0;
    while i < lowest.len() {
        mask |= 0xf << lowest[i];
        i += 1;
    }
    mask
}

/// `ID_AA64PFR0_EL1`: EL0, EL1, FP, AdvSIMD, DIT, CSV2, CSV3. Hidden: EL2, EL3, RAS, SVE, SEL2, MPAM, AMU, RME. GIC is set by the caller.
const PFR0: u64 = fields(&[0, 4, 16, 20, 48, 56, 60]);
/// `ID_AA64PFR0_EL1.GIC`: system-register interface, version 3.0/4.0.
pub const PFR0_GIC_SYSTEM_REGISTERS: u64 = 1 << 24;
/// `ID_AA64PFR1_EL1`: BT, SSBS. Hidden: MTE, RAS_frac, MPAM_frac, SME, RNDR_trap, NMI, GCS and above.
const PFR1: u64 = fields(&[0, 4]);
/// `ID_AA64DFR0_EL1`: DebugVer, PMUVer, BRPs, WRPs, CTX_CMPs, DoubleLock. Hidden: trace, statistical profiling, branch records.
const DFR0: u64 = fields(&[0, 8, 12, 20, 28, 36]);
/// `ID_AA64ISAR0_EL1`: everything but TME (27:24, withdrawn).
const ISAR0: u64 = !fields(&[24]);
/// `ID_AA64ISAR1_EL1`: everything but LS64 (63:60), which wants HCRX_EL2, and XS (59:56), which does too.
const ISAR1: u64 = !fields(&[56, 60]);
/// `ID_AA64ISAR2_EL1`: WFxT, RPRES, GPA3, APA3, BC, PAC_frac, CLRBHB. Hidden: MOPS and whatever wants HCRX_EL2.
const ISAR2: u64 = fields(&[0, 4, 8, 12, 20, 24, 28]);
/// `ID_AA64MMFR0_EL1`: PARange, ASIDBits, BigEnd, SNSMem, BigEndEL0, TGran16/64/4. Hidden: the stage-2 granules, ExS, FGT, ECV.
const MMFR0: u64 = fields(&[0, 4, 8, 12, 16, 20, 24, 28]);
/// `ID_AA64MMFR1_EL1`: HAFDBS, HPDS, PAN, SpecSEI, XNX, ETS, AFP, nTLBPA, CMOW-less. Hidden: VMIDBits, VH, LO, TWED, HCX, TIDCP1.
const MMFR1: u64 = fields(&[0, 12, 20, 24, 36, 44, 48]);
/// `ID_AA64MMFR2_EL1`: CnP, UAO, LSM, IESB, VARange, CCIDX, AT, IDS, TTL-range, BBM, E0PD. Hidden: NV, FWB, EVT.
const MMFR2: u64 = fields(&[0, 4, 8, 12, 16, 20, 28, 32, 36, 48, 52, 60]);

/// `ID_AA64MMFR0_EL1.PARange`, bits 3:0, for an address space of `bits`: the smallest size that holds it. What lies between the two
/// answers with an address size fault.
pub const fn pa_range(bits: u8) -> u64 {
    match bits {
        0..=32 => 0,
        33..=36 => 1,
        37..=40 => 2,
        41..=42 => 3,
        43..=44 => 4,
        _ => 5,
    }
}

/// How the register `encoding` answers, for a read or a write.
pub const fn answer(encoding: u16, write: bool) -> Answer {
    #[cfg(feature = "v3")]
    if let Some(register) = controller::find(encoding, write) {
        return Answer::Controller(register);
    }
    const ACTLR: u16 = register(3, 0, 1, 0, 1);
    const LORSA: u16 = register(3, 0, 10, 4, 0);
    const LORID: u16 = register(3, 0, 10, 4, 7);
    const ERRIDR: u16 = register(3, 0, 5, 3, 0);
    const DISR: u16 = register(3, 0, 12, 1, 1);
    // DC ISW, CSW, CISW: by set and way. They cannot mean what the guest wants on a shared cache; what it has written stays coherent
    // without them (Arm ARM D7.5.8 describes the trap for exactly this).
    const DC_ISW: u16 = register(1, 0, 7, 6, 2);
    const DC_CSW: u16 = register(1, 0, 7, 10, 2);
    const DC_CISW: u16 = register(1, 0, 7, 14, 2);
    match encoding {
        DC_ISW | DC_CSW | DC_CISW => Answer::Zero,
        ACTLR | DISR => Answer::Zero,
        ERRIDR if !write => Answer::Zero,
        LORSA..=LORID if !write => Answer::Zero,
        _ if is_identification(encoding) && !write => identification(encoding),
        _ => Answer::Undefined,
    }
}

/// Registers of the debug architecture (Op0 2, Op1 0 and 3) and of the PMU (CRn 9 and 14), which are trapped where virtual CPUs take turns:
/// nobody saves them, so they read as zero there.
#[cfg(feature = "shared")]
pub const fn is_debug(encoding: u16) -> bool {
    const PMU: u16 = register(3, 3, 9, 12, 0);
    const PMU_INTERRUPTS: u16 = register(3, 0, 9, 14, 0);
    const PMU_COUNTERS: u16 = register(3, 3, 14, 8, 0);
    encoding >> 14 == 2
        || encoding >= PMU && encoding <= register(3, 3, 9, 14, 7)
        || encoding >= PMU_INTERRUPTS && encoding <= register(3, 0, 9, 14, 7)
        || encoding >= PMU_COUNTERS && encoding <= register(3, 3, 14, 15, 7)
}

/// `ID_AA64DFR0_EL1` without `PMUVer`, where virtual CPUs take turns.
#[cfg(feature = "shared")]
pub const DFR0_WITHOUT_PMU: u64 = !fields(&[8]);

/// The identification space that `HCR_EL2.TID3` traps: Op0 3, Op1 0, CRn 0, CRm 1 to 7. All of it can be read; what is not allocated is zero.
const fn is_identification(encoding: u16) -> bool {
    encoding >= register(3, 0, 0, 1, 0) && encoding <= register(3, 0, 0, 7, 7)
}

const fn identification(encoding: u16) -> Answer {
    let crm = ((encoding >> 3) & 0xf) as u8;
    let op2 = (encoding & 7) as u8;
    let (register, keep) = match (crm, op2) {
        (4, 0) => (Identification::Pfr0, PFR0),
        (4, 1) => (Identification::Pfr1, PFR1),
        (5, 0) => (Identification::Dfr0, DFR0),
        (6, 0) => (Identification::Isar0, ISAR0),
        (6, 1) => (Identification::Isar1, ISAR1),
        (6, 2) => (Identification::Isar2, ISAR2),
        (7, 0) => (Identification::Mmfr0, MMFR0),
        (7, 1) => (Identification::Mmfr1, MMFR1),
        (7, 2) => (Identification::Mmfr2, MMFR2),
        // ID_PFR1_EL1: hide the GIC (31:28), the virtualization (15:12) and the security (7:4) fields.
        (1, 1) => (Identification::Aarch32(1, 1), !fields(&[4, 12, 28])),
        // ID_PFR0_EL1: hide RAS (31:28) and AMU (23:20).
        (1, 0) => (Identification::Aarch32(1, 0), !fields(&[20, 28])),
        (1..=3, _) => (Identification::Aarch32(crm, op2), !0),
        _ => return Answer::Zero,
    };
    Answer::Identification(Masked { register, keep })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(crm: u16, op2: u16) -> u64 {
        match answer(register(3, 0, 0, crm, op2), false) {
            Answer::Identification(masked) => masked.keep,
            other => panic!("not an identification register: {other:?}"),
        }
    }

    #[test]
    fn guest_sees_neither_el2_nor_el3_nor_sve_nor_amu() {
        let keep = kept(4, 0);
        for field in [8, 12, 28, 32, 36, 40, 44, 52] {
            assert_eq!((keep >> field) & 0xf, 0, "field at bit {field}");
        }
        assert_eq!(keep & 0xff, 0xff, "EL0 and EL1 are shown");
    }

    #[test]
    fn memory_tagging_and_sme_are_hidden() {
        assert_eq!(kept(4, 1) & (fields(&[8, 24])), 0);
    }

    #[test]
    fn sve_and_sme_feature_registers_and_reserved_space_read_as_zero() {
        for (crm, op2) in [(4, 4), (4, 5), (4, 7), (5, 7), (6, 7), (7, 3), (7, 4)] {
            assert_eq!(answer(register(3, 0, 0, crm, op2), false), Answer::Zero);
        }
    }

    #[test]
    fn writes_to_identification_registers_are_undefined() {
        assert_eq!(answer(register(3, 0, 0, 4, 0), true), Answer::Undefined);
    }

    #[test]
    fn sgi_registers_send_when_written_and_are_undefined_when_read() {
        for op2 in [5, 6, 7] {
            assert!(matches!(
                answer(register(3, 0, 12, 11, op2), true),
                Answer::Controller(controller::Register::SendSgi(_))
            ));
            assert_eq!(
                answer(register(3, 0, 12, 11, op2), false),
                Answer::Undefined
            );
        }
    }

    #[test]
    fn cache_maintenance_by_set_and_way_does_nothing() {
        assert_eq!(answer(register(1, 0, 7, 14, 2), true), Answer::Zero);
    }

    #[test]
    fn el2_and_implementation_defined_registers_are_undefined() {
        let hcr_el2 = register(3, 4, 1, 1, 0);
        let s3_0_c15_c2_0 = register(3, 0, 15, 2, 0);
        assert_eq!(answer(hcr_el2, false), Answer::Undefined);
        assert_eq!(answer(s3_0_c15_c2_0, true), Answer::Undefined);
    }

    #[test]
    fn every_encoding_has_an_answer() {
        for encoding in 0..=u16::MAX {
            let _ = (answer(encoding, false), answer(encoding, true));
        }
    }

    #[test]
    fn pa_range_holds_every_address_of_the_partition() {
        assert_eq!(pa_range(32), 0);
        assert_eq!(pa_range(39), 2);
        assert_eq!(pa_range(48), 5);
    }
}
