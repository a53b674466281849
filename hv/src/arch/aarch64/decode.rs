//! From a syndrome to an exit: what `ESR_EL2` says a guest did (Arm ARM D19.2.37), as plain data. Pure, tested on the host.

use crate::exit::{AbortCause, Exit, MmioAccess, RegisterTransfer, Width};
use model::Ipa;

/// Exception classes, `ESR_EL2.EC`.
mod class {
    #[cfg(any(feature = "v2", feature = "shared"))]
    pub const WAIT: u64 = 0x01;
    #[cfg(feature = "shared")]
    pub const FLOATING_POINT: u64 = 0x07;
    pub const HVC64: u64 = 0x16;
    pub const SMC64: u64 = 0x17;
    pub const SYSTEM_REGISTER: u64 = 0x18;
    pub const INSTRUCTION_ABORT: u64 = 0x20;
    pub const DATA_ABORT: u64 = 0x24;
}

/// The registers that describe a synchronous exception from a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syndrome {
    /// `ESR_EL2`.
    pub esr: u64,
    /// `FAR_EL2`: the guest's virtual address of an abort.
    pub far: u64,
    /// `HPFAR_EL2`: the guest's physical page of a stage-2 fault.
    pub hpfar: u64,
}

impl Syndrome {
    /// `ESR_EL2.EC`.
    pub const fn class(&self) -> u64 {
        (self.esr >> 26) & 0x3f
    }

    /// True for a 32-bit instruction: `ESR_EL2.IL`.
    pub const fn is_long_instruction(&self) -> bool {
        self.esr & (1 << 25) != 0
    }

    /// `FAR_EL2` and `HPFAR_EL2` joined into the intermediate physical address. `HPFAR_EL2.FIPA` is bits 43:4 and holds IPA bits 51:12.
    pub const fn ipa(&self) -> Ipa {
        Ipa::new((((self.hpfar >> 4) & 0xff_ffff_ffff) << 12) | (self.far & 0xfff))
    }

    /// What the guest did.
    pub fn exit(&self) -> Exit {
        match self.class() {
            #[cfg(any(feature = "v2", feature = "shared"))]
            class::WAIT => Exit::Wait,
            #[cfg(feature = "shared")]
            class::FLOATING_POINT => Exit::FloatingPoint,
            class::HVC64 => Exit::Hypercall {
                immediate: self.esr as u16,
            },
            class::SMC64 => Exit::FirmwareCall {
                immediate: self.esr as u16,
            },
            class::SYSTEM_REGISTER => Exit::SystemRegister(transfer(self.esr)),
            class::INSTRUCTION_ABORT => Exit::InstructionAbort {
                ipa: self.ipa(),
                cause: cause(self.esr),
            },
            class::DATA_ABORT => self.data_abort(),
            _ => Exit::Undefined,
        }
    }

    /// A data abort is an access that can be emulated when it is a translation fault with a valid instruction syndrome (`ISV`), and a fault otherwise.
    fn data_abort(&self) -> Exit {
        const VALID: u64 = 1 << 24;
        const CACHE_MAINTENANCE: u64 = 1 << 8;
        let cause = cause(self.esr);
        let write = self.esr & (1 << 6) != 0;
        if cause != AbortCause::Translation
            || self.esr & VALID == 0
            || self.esr & CACHE_MAINTENANCE != 0
        {
            return Exit::DataAbort {
                ipa: self.ipa(),
                write,
                cause,
            };
        }
        let width = match (self.esr >> 22) & 3 {
            0 => Width::Byte,
            1 => Width::Half,
            2 => Width::Word,
            _ => Width::Double,
        };
        Exit::Mmio(MmioAccess {
            ipa: self.ipa(),
            width,
            write,
            register: ((self.esr >> 16) & 0x1f) as u8,
            sign_extend: self.esr & (1 << 21) != 0,
            wide_register: self.esr & (1 << 15) != 0,
        })
    }
}

/// Why an abort happened: `DFSC` or `IFSC`, bits 5:0, and `S1PTW`, bit 7.
const fn cause(esr: u64) -> AbortCause {
    const STAGE1_WALK: u64 = 1 << 7;
    if esr & STAGE1_WALK != 0 {
        return AbortCause::TableWalk;
    }
    match esr & 0x3f {
        0x00..=0x03 => AbortCause::AddressSize,
        0x04..=0x07 => AbortCause::Translation,
        0x0c..=0x0f => AbortCause::Permission,
        0x10 => AbortCause::External,
        _ => AbortCause::Other,
    }
}

/// `ISS` of a trapped MSR or MRS. The encoding is kept as one number, Op0:Op1:CRn:CRm:Op2, as `register()` in `sysreg` builds it.
const fn transfer(esr: u64) -> RegisterTransfer {
    let op0 = (esr >> 20) & 3;
    let op2 = (esr >> 17) & 7;
    let op1 = (esr >> 14) & 7;
    let crn = (esr >> 10) & 0xf;
    let crm = (esr >> 1) & 0xf;
    RegisterTransfer {
        encoding: ((op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2) as u16,
        register: ((esr >> 5) & 0x1f) as u8,
        write: esr & 1 == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::aarch64::sysreg::register;

    fn syndrome(class: u64, iss: u64) -> Syndrome {
        Syndrome {
            esr: (class << 26) | (1 << 25) | iss,
            far: 0xffff_8000_0900_0018,
            hpfar: 0x0000_0000_0000_9000_u64 << 4 >> 4,
        }
    }

    #[test]
    fn hvc_and_smc_are_told_apart() {
        assert_eq!(syndrome(0x16, 0).exit(), Exit::Hypercall { immediate: 0 });
        assert_eq!(
            syndrome(0x17, 7).exit(),
            Exit::FirmwareCall { immediate: 7 }
        );
    }

    #[test]
    fn word_load_with_valid_syndrome_is_an_mmio_read_of_the_faulting_page_and_offset() {
        // ISV, SAS = word, SRT = x7, translation fault level 3; HPFAR = page 0x9000.
        let mut s = syndrome(0x24, (1 << 24) | (2 << 22) | (7 << 16) | 0x07);
        s.hpfar = 0x9000 << 4;
        assert_eq!(
            s.exit(),
            Exit::Mmio(MmioAccess {
                ipa: Ipa::new(0x0900_0018),
                width: Width::Word,
                write: false,
                register: 7,
                sign_extend: false,
                wide_register: false,
            })
        );
    }

    #[test]
    fn store_pair_without_valid_syndrome_is_a_data_abort_not_an_access() {
        let exit = syndrome(0x24, (1 << 6) | 0x07).exit();
        assert!(matches!(
            exit,
            Exit::DataAbort {
                write: true,
                cause: AbortCause::Translation,
                ..
            }
        ));
    }

    #[test]
    fn cache_maintenance_on_an_unowned_address_is_an_abort_not_a_write() {
        let exit = syndrome(0x24, (1 << 24) | (1 << 8) | (1 << 6) | 0x07).exit();
        assert!(matches!(exit, Exit::DataAbort { .. }));
    }

    #[test]
    fn fault_on_a_stage1_table_walk_is_named_so() {
        let exit = syndrome(0x24, (1 << 7) | 0x05).exit();
        assert!(matches!(
            exit,
            Exit::DataAbort {
                cause: AbortCause::TableWalk,
                ..
            }
        ));
    }

    #[test]
    fn permission_fault_is_never_emulated() {
        let exit = syndrome(0x24, (1 << 24) | (1 << 6) | 0x0f).exit();
        assert!(matches!(
            exit,
            Exit::DataAbort {
                cause: AbortCause::Permission,
                ..
            }
        ));
    }

    #[test]
    fn jump_outside_memory_is_an_instruction_abort() {
        assert!(matches!(
            syndrome(0x20, 0x06).exit(),
            Exit::InstructionAbort {
                cause: AbortCause::Translation,
                ..
            }
        ));
    }

    #[test]
    fn system_register_write_decodes_to_its_encoding_and_source() {
        // msr ICC_SGI1R_EL1 (S3_0_C12_C11_5), x3
        let iss = (3 << 20) | (5 << 17) | (12 << 10) | (3 << 5) | (11 << 1);
        assert_eq!(
            syndrome(0x18, iss).exit(),
            Exit::SystemRegister(RegisterTransfer {
                encoding: register(3, 0, 12, 11, 5),
                register: 3,
                write: true,
            })
        );
    }

    #[test]
    fn use_of_floating_point_is_told_from_what_no_guest_has() {
        assert_eq!(syndrome(0x07, 0).exit(), Exit::FloatingPoint);
    }

    #[test]
    fn every_other_class_is_undefined_to_the_guest() {
        for class in [0x00, 0x03, 0x09, 0x0c, 0x12, 0x13, 0x19, 0x1d, 0x2c, 0x3c] {
            assert_eq!(syndrome(class, 0x1ff_ffff).exit(), Exit::Undefined);
        }
    }

    #[test]
    fn no_syndrome_makes_decoding_panic() {
        for class in 0..64 {
            for iss in [0, 0x1ff_ffff, 0x155_5555, 0x0aa_aaaa] {
                let _ = syndrome(class, iss).exit();
            }
        }
    }
}
