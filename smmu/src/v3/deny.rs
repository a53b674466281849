//! Nothing passes an SMMUv3 whatever firmware left behind (Arm IHI 0070, chapter 6.3: SMMU_CR0, SMMU_CR0ACK, SMMU_GBPA).

use super::register_map::{CR0, CR0ACK, GBPA};
use crate::{IommuError, RegisterFrame};

/// SMMU_CR0.SMMUEN and the enables of the queues: page requests, events, commands.
const ENABLES: u32 = 0b1111;
/// SMMU_GBPA.UPDATE: set to change the register, cleared by the SMMU when the change holds.
const UPDATE: u32 = 1 << 31;
/// SMMU_GBPA.ABORT: while the SMMU is disabled, every access is answered with an abort.
const ABORT: u32 = 1 << 20;

/// Denies every stream every access.
///
/// An SMMU comes out of reset disabled and letting everything pass. So the order matters: first what holds while it is disabled becomes
/// "abort", then it is disabled. At no point does a stream reach more than firmware let it reach before.
///
/// # Errors
/// [`IommuError::Stuck`] names the register that did not answer; accesses may still pass then.
pub fn deny_all(registers: &mut dyn RegisterFrame) -> Result<(), IommuError> {
    // A change that firmware began must end first: a write while UPDATE is set is ignored.
    registers.wait_for(GBPA, UPDATE, 0)?;
    let attributes = registers.read(GBPA);
    registers.write(GBPA, attributes | ABORT | UPDATE);
    registers.wait_for(GBPA, UPDATE | ABORT, ABORT)?;

    // Nor may this register be written while an earlier change is under way.
    let control = registers.read(CR0);
    registers.wait_for(CR0ACK, ENABLES, control & ENABLES)?;
    registers.write(CR0, control & !ENABLES);
    registers.wait_for(CR0ACK, ENABLES, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of the three registers, written from the manual: changes take a number of reads to hold. It notes every moment at which
    /// accesses pass untranslated.
    struct Model {
        gbpa: u32,
        cr0: u32,
        acknowledged: u32,
        delay: u32,
        left: u32,
        pending_gbpa: u32,
        ever_open: bool,
    }

    impl Model {
        fn new(cr0: u32, gbpa: u32, delay: u32) -> Self {
            Self {
                gbpa,
                cr0,
                acknowledged: cr0,
                delay,
                left: 0,
                pending_gbpa: gbpa,
                ever_open: false,
            }
        }

        fn is_open(&self) -> bool {
            self.acknowledged & 1 == 0 && self.gbpa & ABORT == 0
        }

        fn step(&mut self) {
            if self.left > 0 {
                self.left -= 1;
            }
            if self.left == 0 {
                self.gbpa = self.pending_gbpa & !UPDATE;
                self.acknowledged = self.cr0;
            }
            self.ever_open |= self.is_open();
        }
    }

    impl RegisterFrame for Model {
        fn read(&mut self, offset: usize) -> u32 {
            self.step();
            match offset {
                CR0 => self.cr0,
                CR0ACK => self.acknowledged,
                GBPA => self.gbpa,
                _ => 0,
            }
        }

        fn write(&mut self, offset: usize, value: u32) {
            match offset {
                CR0 => self.cr0 = value,
                GBPA if value & UPDATE != 0 && self.gbpa & UPDATE == 0 => {
                    self.gbpa |= UPDATE;
                    self.pending_gbpa = value;
                }
                _ => {}
            }
            self.left = self.delay;
        }
    }

    #[test]
    fn smmu_after_reset_aborts_everything_and_keeps_the_other_attributes() {
        let mut model = Model::new(0, 0x1000, 3);
        assert_eq!(deny_all(&mut model), Ok(()));
        assert_eq!(model.gbpa, 0x1000 | ABORT);
        assert!(!model.is_open());
    }

    #[test]
    fn smmu_that_firmware_left_enabled_is_disabled_without_ever_being_open() {
        let mut model = Model::new(0b1101, 0x1000, 3);
        assert_eq!(deny_all(&mut model), Ok(()));
        assert_eq!((model.acknowledged, model.gbpa & ABORT), (0, ABORT));
        assert!(!model.ever_open);
    }

    #[test]
    fn change_that_firmware_began_is_waited_for() {
        let mut model = Model::new(0, 0x1000 | UPDATE, 0);
        model.left = 5;
        assert_eq!(deny_all(&mut model), Ok(()));
        assert_eq!(model.gbpa & (ABORT | UPDATE), ABORT);
    }

    #[test]
    fn smmu_that_never_answers_is_an_error_and_no_hang() {
        let mut model = Model::new(0, 0, u32::MAX);
        assert_eq!(deny_all(&mut model), Err(IommuError::Stuck(GBPA)));
    }

    #[test]
    fn smmu_that_does_not_go_off_is_an_error_too() {
        /// Registers that take GBPA but never acknowledge CR0.
        struct Half(u32);
        impl RegisterFrame for Half {
            fn read(&mut self, offset: usize) -> u32 {
                if offset == GBPA { self.0 & !UPDATE } else { 1 }
            }
            fn write(&mut self, offset: usize, value: u32) {
                if offset == GBPA {
                    self.0 = value;
                }
            }
        }
        assert_eq!(deny_all(&mut Half(0)), Err(IommuError::Stuck(CR0ACK)));
    }
}
