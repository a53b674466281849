//! Exceptions that a guest receives for what it did: the entry to its own EL1 vectors, computed as the hardware would (Arm ARM D1.3, and
//! the pseudocode `AArch64.TakeException`). Pure: registers go in and come out as plain data.

/// State of a guest at the moment of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestState {
    /// Where it was.
    pub pc: u64,
    /// Its processor state.
    pub pstate: u64,
    /// `VBAR_EL1`.
    pub vectors: u64,
    /// `SCTLR_EL1`.
    pub control: u64,
}

/// What is to be written so that the guest takes the exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes on.
    pub pc: u64,
    /// Its new processor state.
    pub pstate: u64,
    /// `ESR_EL1`.
    pub esr: u64,
    /// `ELR_EL1`.
    pub elr: u64,
    /// `SPSR_EL1`.
    pub spsr: u64,
}

/// A synchronous exception for a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// Undefined instruction.
    Undefined,
    /// Synchronous external abort on a load or store.
    DataAbort {
        /// It was a store.
        write: bool,
    },
    /// Synchronous external abort on an instruction fetch.
    InstructionAbort,
    /// Synchronous external abort on a walk of the guest's tables, for an instruction fetch or a data access.
    TableWalk {
        /// For an instruction fetch.
        fetch: bool,
    },
}

mod pstate {
    pub const MODE: u64 = 0x1f;
    pub const EL1H: u64 = 0x5;
    pub const EL1T: u64 = 0x4;
    pub const AARCH32: u64 = 1 << 4;
    pub const DAIF: u64 = 0xf << 6;
    pub const SSBS: u64 = 1 << 12;
    pub const PAN: u64 = 1 << 22;
    pub const DIT: u64 = 1 << 24;
    pub const NZCV: u64 = 0xf << 28;
}

/// `SCTLR_EL1.SPAN`: when clear, an exception sets PAN.
const SPAN: u64 = 1 << 23;
/// `SCTLR_EL1.DSSBS`: SSBS after an exception.
const DSSBS: u64 = 1 << 44;
/// `ESR_EL1.IL`: the instruction is 32 bits long.
const LONG: u64 = 1 << 25;

/// Computes the entry of `exception`.
pub const fn take(guest: GuestState, exception: Exception) -> Entry {
    let mode = guest.pstate & pstate::MODE;
    let from_el1 = mode == pstate::EL1H || mode == pstate::EL1T;
    // Vector table: 0x000 current EL with SP_EL0, 0x200 with SP_ELx, 0x400 lower EL AArch64, 0x600 AArch32.
    let vector = if mode == pstate::EL1T {
        0x000
    } else if mode == pstate::EL1H {
        0x200
    } else if guest.pstate & pstate::AARCH32 == 0 {
        0x400
    } else {
        0x600
    };
    let mut new =
        (guest.pstate & (pstate::NZCV | pstate::DIT | pstate::PAN)) | pstate::DAIF | pstate::EL1H;
    if guest.control & SPAN == 0 {
        new |= pstate::PAN;
    }
    if guest.control & DSSBS != 0 {
        new |= pstate::SSBS;
    }
    Entry {
        pc: guest.vectors.wrapping_add(vector),
        pstate: new,
        esr: syndrome(exception, from_el1),
        elr: guest.pc,
        spsr: guest.pstate,
    }
}

/// `ESR_EL1` of the exception (Arm ARM D19.2.37).
const fn syndrome(exception: Exception, from_el1: bool) -> u64 {
    const INSTRUCTION_ABORT_LOWER: u64 = 0x20;
    const DATA_ABORT_LOWER: u64 = 0x24;
    const EXTERNAL: u64 = 0x10;
    // External abort on a walk, level 3 (0b010111): the level is not known, and guests do not look.
    const EXTERNAL_ON_WALK: u64 = 0x17;
    const WRITE: u64 = 1 << 6;
    let same_level = from_el1 as u64;
    match exception {
        Exception::Undefined => LONG,
        Exception::DataAbort { write } => {
            ((DATA_ABORT_LOWER + same_level) << 26)
                | LONG
                | EXTERNAL
                | if write { WRITE } else { 0 }
        }
        Exception::InstructionAbort => {
            ((INSTRUCTION_ABORT_LOWER + same_level) << 26) | LONG | EXTERNAL
        }
        Exception::TableWalk { fetch } => {
            let class = if fetch {
                INSTRUCTION_ABORT_LOWER
            } else {
                DATA_ABORT_LOWER
            };
            ((class + same_level) << 26) | LONG | EXTERNAL_ON_WALK
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: GuestState = GuestState {
        pc: 0x4000_1000,
        pstate: 0x6000_0005,
        vectors: 0xffff_8000_0001_0000,
        control: SPAN,
    };

    #[test]
    fn abort_from_el1_goes_to_the_current_level_vector_with_interrupts_masked() {
        let entry = take(GUEST, Exception::DataAbort { write: true });
        assert_eq!(entry.pc, 0xffff_8000_0001_0200);
        assert_eq!(entry.pstate, 0x6000_03c5);
        assert_eq!(entry.esr >> 26, 0x25);
        assert_eq!(entry.esr & 0x3f, 0x10);
        assert_eq!(entry.esr & (1 << 6), 1 << 6);
        assert_eq!((entry.elr, entry.spsr), (GUEST.pc, GUEST.pstate));
    }

    #[test]
    fn abort_from_user_mode_goes_to_the_lower_level_vector() {
        let user = GuestState { pstate: 0, ..GUEST };
        let entry = take(user, Exception::InstructionAbort);
        assert_eq!(entry.pc, 0xffff_8000_0001_0400);
        assert_eq!(entry.esr >> 26, 0x20);
    }

    #[test]
    fn abort_from_a_32_bit_program_goes_to_its_own_vector() {
        let user = GuestState {
            pstate: 0x10,
            ..GUEST
        };
        let entry = take(user, Exception::Undefined);
        assert_eq!(entry.pc, 0xffff_8000_0001_0600);
        assert_eq!(entry.esr, 1 << 25);
    }

    #[test]
    fn pan_is_set_unless_span_says_otherwise() {
        let guest = GuestState {
            control: 0,
            ..GUEST
        };
        assert_eq!(
            take(guest, Exception::Undefined).pstate & (1 << 22),
            1 << 22
        );
        assert_eq!(take(GUEST, Exception::Undefined).pstate & (1 << 22), 0);
    }

    #[test]
    fn kernel_on_its_user_stack_uses_the_first_vector() {
        let guest = GuestState {
            pstate: 0x4,
            ..GUEST
        };
        assert_eq!(take(guest, Exception::Undefined).pc, GUEST.vectors);
    }
}
