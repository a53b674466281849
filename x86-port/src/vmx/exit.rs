//! What an exit says (Intel SDM volume 3, 28.2 and appendix C).

use hv::event::FaultKind;
use hv::exit::AbortCause;

use super::field::{Vmcs, information};
use crate::exit::{Exit, Fault, Io};
use crate::guest::{Cause, Event};

/// Exit reasons that others look at.
pub mod reason {
    /// An exception, or an NMI.
    pub const EVENT: u32 = 0;
    /// The guest could take a non-maskable interrupt: the handler of the one before is through.
    pub const NMI_WINDOW: u32 = 8;
    /// An access to a control register.
    pub const CONTROL_REGISTER: u32 = 28;
    /// An access that the extended page tables do not allow.
    pub const EPT_VIOLATION: u32 = 48;
    /// The guest's state is none that the CPU enters; stands for a control structure that it does not take, too.
    pub const NOT_ENTERED: u32 = 33;
    /// XSETBV.
    pub const XSETBV: u32 = 55;
}

/// Exit reason: the guest was not entered.
const FAILED: u32 = 1 << 31;

/// The reason's number, and whether the guest was not entered.
pub fn number(vmcs: &impl Vmcs) -> (u32, bool) {
    let reason = vmcs.read(information::REASON) as u32;
    (reason & 0xffff, reason & FAILED != 0)
}

/// Says why a guest exited. A task switch by hardware, which no CPU does for a guest, counts as an instruction that it does not have.
pub fn exit(vmcs: &impl Vmcs) -> Exit {
    let (number, failed) = number(vmcs);
    let qualification = vmcs.read(information::QUALIFICATION);
    match number {
        _ if failed => Exit::Refused,
        reason::EVENT => event(vmcs.read(information::EVENT)),
        // Or the preemption timer, in the place of the alarm's interrupt.
        1 | 52 => Exit::Interrupt,
        2 => Exit::Shutdown,
        reason::NMI_WINDOW => Exit::NonMaskableDone,
        // A window, or a task priority below the threshold.
        7 | 43 => Exit::Window,
        10 => Exit::Cpuid,
        12 => Exit::Halt,
        13 | 54 => Exit::InvalidateCaches,
        18 => Exit::Hypercall,
        9 | 11 | 19..=27 | 50 | 53 => Exit::Privileged,
        30 => Exit::Io(Io {
            port: (qualification >> 16) as u16,
            input: qualification & 1 << 3 != 0,
            string: qualification & 1 << 4 != 0,
            bytes: (qualification & 7) as u8 + 1,
        }),
        31 => Exit::ReadMsr,
        32 => Exit::WriteMsr,
        reason::EPT_VIOLATION => Exit::Fault(Fault {
            address: vmcs.read(information::ADDRESS),
            kind: fault(qualification),
        }),
        other => Exit::Unexpected(other),
    }
}

/// The same, undecoded.
pub fn cause(vmcs: &impl Vmcs) -> Cause {
    let interrupt = matches!(exit(vmcs), Exit::Interrupt | Exit::NonMaskable);
    let (number, _) = number(vmcs);
    Cause { number, interrupt }
}

/// An exception, or an NMI.
const fn event(information: u64) -> Exit {
    match (information >> 8 & 7, information & 0xff) {
        (2, _) => Exit::NonMaskable,
        (_, 1) => Exit::Exception(Event::Debug),
        (_, 17) => Exit::Exception(Event::Alignment),
        _ => Exit::Unexpected(0),
    }
}

/// What the qualification of an EPT violation says (table 28-7).
fn fault(qualification: u64) -> FaultKind {
    const WRITE: u64 = 1 << 1;
    const FETCH: u64 = 1 << 2;
    /// What the page may be used for: nothing, where none is mapped.
    const ALLOWED: u64 = 0b111 << 3;
    const HAS_LINEAR: u64 = 1 << 7;
    /// Not the guest's own page tables.
    const FINAL: u64 = 1 << 8;
    let cause = if qualification & (HAS_LINEAR | FINAL) == HAS_LINEAR {
        AbortCause::TableWalk
    } else if qualification & ALLOWED != 0 {
        AbortCause::Permission
    } else {
        AbortCause::Translation
    };
    if qualification & FETCH != 0 {
        FaultKind::Execute(cause)
    } else if qualification & WRITE != 0 {
        FaultKind::Write(cause)
    } else {
        FaultKind::Read(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::table::Table;
    use super::*;

    fn after(reason: u32, qualification: u64) -> Exit {
        let mut table = Table::default();
        table.write(information::REASON, reason.into());
        table.write(information::QUALIFICATION, qualification);
        table.write(information::ADDRESS, 0x123_4000);
        exit(&table)
    }

    #[test]
    fn reasons_are_those_of_the_manual() {
        for (reason, expected) in [
            (1, Exit::Interrupt),
            (2, Exit::Shutdown),
            (7, Exit::Window),
            (12, Exit::Halt),
            (43, Exit::Window),
            (52, Exit::Interrupt),
            (54, Exit::InvalidateCaches),
            (8, Exit::NonMaskableDone),
            (10, Exit::Cpuid),
            (13, Exit::InvalidateCaches),
            (18, Exit::Hypercall),
            (9, Exit::Privileged),
            (20, Exit::Privileged),
            (53, Exit::Privileged),
            (31, Exit::ReadMsr),
            (32, Exit::WriteMsr),
            (0, Exit::Unexpected(0)),
            (49, Exit::Unexpected(49)),
            (FAILED | 33, Exit::Refused),
            (FAILED | 34, Exit::Refused),
        ] {
            assert_eq!(after(reason, 0), expected, "{reason:#x}");
        }
    }

    #[test]
    fn non_maskable_interrupt_is_told_from_an_exception() {
        let mut table = Table::default();
        table.write(information::EVENT, 0x8000_0202);
        assert_eq!(exit(&table), Exit::NonMaskable);
        for (event, expected) in [
            (0x8000_0301, Exit::Exception(Event::Debug)),
            (0x8000_0b11, Exit::Exception(Event::Alignment)),
            (0x8000_0306, Exit::Unexpected(0)),
        ] {
            table.write(information::EVENT, event);
            assert_eq!(exit(&table), expected);
        }
    }

    #[test]
    fn access_to_a_port_has_direction_width_and_number() {
        let io = |qualification| match after(30, qualification) {
            Exit::Io(io) => (io.port, io.input, io.string, io.bytes),
            other => panic!("{other:?}"),
        };
        assert_eq!(io(0x03f8_0000), (0x3f8, false, false, 1));
        assert_eq!(io(0x5658_000b), (0x5658, true, false, 4));
        assert_eq!(io(0x03f8_0031), (0x3f8, false, true, 2));
    }

    #[test]
    fn violations_tell_read_write_execute_and_table_walk() {
        for (qualification, expected) in [
            (0x181, FaultKind::Read(AbortCause::Translation)),
            (0x182, FaultKind::Write(AbortCause::Translation)),
            (0x18a, FaultKind::Write(AbortCause::Permission)),
            (0x19c, FaultKind::Execute(AbortCause::Permission)),
            (0x081, FaultKind::Read(AbortCause::TableWalk)),
            // Without a linear address: the loading of PAE's four entries.
            (0x001, FaultKind::Read(AbortCause::Translation)),
        ] {
            let fault = Fault {
                address: 0x123_4000,
                kind: expected,
            };
            assert_eq!(after(48, qualification), Exit::Fault(fault));
        }
    }
}
