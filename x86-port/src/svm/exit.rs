//! What an exit says, and where the guest goes on (AMD APM volume 2, appendix C).

use hv::event::FaultKind;
use hv::exit::AbortCause;

use super::vmcb::{Control, Vmcb};
use crate::exit::{Exit, Fault, Io};
use crate::guest::{Cause, Event, Instruction};

/// Interrupts of the physical CPU.
mod code {
    pub const INTERRUPT: u32 = 0x60;
    pub const NON_MASKABLE: u32 = 0x61;
}

/// Says why a guest exited.
#[inline]
pub fn exit(vmcb: &Vmcb) -> Exit {
    let control = &vmcb.control;
    let info = control.exit_info_1;
    match control.exit_code as u32 {
        0x41 => Exit::Exception(Event::Debug),
        0x51 => Exit::Exception(Event::Alignment),
        code::INTERRUPT => Exit::Interrupt,
        code::NON_MASKABLE => Exit::NonMaskable,
        0x64 => Exit::Window,
        0x78 => Exit::Halt,
        0x72 => Exit::Cpuid,
        0x74 => Exit::NonMaskableDone,
        0x76 | 0x89 => Exit::InvalidateCaches,
        0x7b => Exit::Io(Io {
            port: (info >> 16) as u16,
            input: info & 1 != 0,
            string: info & 0b1100 != 0,
            bytes: (info >> 4 & 7) as u8,
        }),
        0x7c if info & 1 == 0 => Exit::ReadMsr,
        0x7c => Exit::WriteMsr,
        0x7f => Exit::Shutdown,
        0x81 => Exit::Hypercall,
        0x7a | 0x80 | 0x82..=0x86 => Exit::Privileged,
        0x8d => Exit::ExtendedState,
        0x400 => Exit::Fault(Fault {
            address: control.exit_info_2,
            kind: fault(info),
        }),
        0xffff_ffff => Exit::Refused,
        other => Exit::Unexpected(other),
    }
}

/// The same, undecoded.
#[inline]
pub const fn cause(control: &Control) -> Cause {
    let number = control.exit_code as u32;
    Cause {
        number,
        interrupt: matches!(number, code::INTERRUPT | code::NON_MASKABLE),
    }
}

/// What a nested page fault's error code says (15.25.6).
fn fault(code: u64) -> FaultKind {
    const PRESENT: u64 = 1 << 0;
    const WRITE: u64 = 1 << 1;
    const FETCH: u64 = 1 << 4;
    const TABLE_WALK: u64 = 1 << 33;
    let cause = if code & TABLE_WALK != 0 {
        AbortCause::TableWalk
    } else if code & PRESENT != 0 {
        AbortCause::Permission
    } else {
        AbortCause::Translation
    };
    if code & FETCH != 0 {
        FaultKind::Execute(cause)
    } else if code & WRITE != 0 {
        FaultKind::Write(cause)
    } else {
        FaultKind::Read(cause)
    }
}

/// Where the instruction behind the one that exited begins. QEMU does not say so but for I/O, and no prefix makes the others longer in practice; a
/// guest that adds one resumes within its own instruction.
#[inline]
pub const fn next(instruction: Instruction, control: &Control, pc: u64) -> u64 {
    let length = match instruction {
        Instruction::Port => return control.exit_info_2,
        Instruction::Halt => 1,
        Instruction::Cpuid | Instruction::InvalidateCaches | Instruction::Msr => 2,
        Instruction::Hypercall | Instruction::ExtendedState => 3,
    };
    pc.wrapping_add(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(code: u64, first: u64, second: u64) -> Exit {
        let mut vmcb = Vmcb::ZERO;
        vmcb.control.exit_code = code;
        vmcb.control.exit_info_1 = first;
        vmcb.control.exit_info_2 = second;
        exit(&vmcb)
    }

    #[test]
    fn byte_written_to_com1_is_an_io_exit_with_port_width_and_next_instruction() {
        let expected = Io {
            port: 0x3f8,
            input: false,
            string: false,
            bytes: 1,
        };
        assert_eq!(after(0x7b, 0x03f8_0090, 0x1002), Exit::Io(expected));
    }

    #[test]
    fn nested_faults_tell_read_write_execute_and_table_walk() {
        let kind = |code| match after(0x400, code, 0x123_4000) {
            Exit::Fault(fault) => (fault.address, fault.kind),
            other => panic!("{other:?}"),
        };
        let at = 0x123_4000;
        let last = 1 << 32;
        assert_eq!(
            kind(last | 0b100),
            (at, FaultKind::Read(AbortCause::Translation))
        );
        assert_eq!(
            kind(last | 0b111),
            (at, FaultKind::Write(AbortCause::Permission))
        );
        assert_eq!(
            kind(last | 0b1_0100),
            (at, FaultKind::Execute(AbortCause::Translation))
        );
        assert_eq!(
            kind(1 << 33 | 0b100),
            (at, FaultKind::Read(AbortCause::TableWalk))
        );
    }

    #[test]
    fn refused_block_is_known_by_32_or_64_bits() {
        assert_eq!(after(0xffff_ffff, 0, 0), Exit::Refused);
        assert_eq!(after(u64::MAX, 0, 0), Exit::Refused);
    }

    #[test]
    fn msr_exit_tells_reads_from_writes_and_others_are_unexpected() {
        assert_eq!(after(0x7c, 0, 0), Exit::ReadMsr);
        assert_eq!(after(0x7c, 1, 0), Exit::WriteMsr);
        assert_eq!(after(0x40, 0, 0), Exit::Unexpected(0x40));
        assert_eq!(after(0x85, 0, 0), Exit::Privileged);
    }

    #[test]
    fn what_only_some_exit_for_is_told_apart() {
        for (code, expected) in [
            (0x41, Exit::Exception(Event::Debug)),
            (0x51, Exit::Exception(Event::Alignment)),
            (0x60, Exit::Interrupt),
            (0x64, Exit::Window),
            (0x78, Exit::Halt),
            (0x89, Exit::InvalidateCaches),
            (0x8d, Exit::ExtendedState),
        ] {
            assert_eq!(after(code, 0, 0), expected);
        }
    }

    #[test]
    fn next_instruction_is_what_an_io_exit_says_and_by_its_length_after_others() {
        let mut vmcb = Vmcb::ZERO;
        vmcb.control.exit_info_2 = 0x2000;
        for (instruction, expected) in [
            (Instruction::Port, 0x2000),
            (Instruction::Halt, 0x1001),
            (Instruction::Cpuid, 0x1002),
            (Instruction::InvalidateCaches, 0x1002),
            (Instruction::Msr, 0x1002),
            (Instruction::Hypercall, 0x1003),
            (Instruction::ExtendedState, 0x1003),
        ] {
            assert_eq!(next(instruction, &vmcb.control, 0x1000), expected);
        }
    }
}
