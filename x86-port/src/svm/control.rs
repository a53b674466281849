//! What a virtual CPU begins with, which of its doings exit, and what an exit says.

use hv::event::FaultKind;
use hv::exit::AbortCause;

use super::vmcb::{Segment, State, Vmcb};

/// Events and instructions of the first word that exit (AMD APM volume 2, appendix B, offset 00Ch).
pub mod first {
    /// A non-maskable interrupt: how pCPUs call one another.
    pub const NMI: u32 = 1 << 1;
    /// INIT would reset the physical CPU.
    pub const INIT: u32 = 1 << 3;
    /// CPUID.
    pub const CPUID: u32 = 1 << 18;
    /// IRET, while a non-maskable interrupt is handled: what ends that.
    pub const IRET: u32 = 1 << 20;
    /// INVD would drop what other partitions have written.
    pub const INVD: u32 = 1 << 22;
    /// INVLPGA names an address space.
    pub const INVLPGA: u32 = 1 << 26;
    /// I/O ports by the permission map.
    pub const IO: u32 = 1 << 27;
    /// MSRs by the permission map.
    pub const MSR: u32 = 1 << 28;
    /// A triple fault.
    pub const SHUTDOWN: u32 = 1 << 31;

    /// All that always exit. Interrupts, HLT and the time stamp counter do not: the physical CPU is the partition's own.
    pub const ALL: u32 = NMI | INIT | CPUID | INVD | INVLPGA | IO | MSR | SHUTDOWN;
}

/// Instructions of the second word that exit (offset 010h): those of SVM itself.
pub mod second {
    /// VMRUN. The architecture demands it.
    pub const VMRUN: u32 = 1 << 0;
    /// VMMCALL: hypercalls.
    pub const VMMCALL: u32 = 1 << 1;
    /// VMLOAD.
    pub const VMLOAD: u32 = 1 << 2;
    /// VMSAVE.
    pub const VMSAVE: u32 = 1 << 3;
    /// STGI.
    pub const STGI: u32 = 1 << 4;
    /// CLGI would hold back the hypervisor's own NMI.
    pub const CLGI: u32 = 1 << 5;
    /// SKINIT.
    pub const SKINIT: u32 = 1 << 6;

    /// All that exit.
    pub const ALL: u32 = VMRUN | VMMCALL | VMLOAD | VMSAVE | STGI | CLGI | SKINIT;
}

/// EFER bits.
pub mod efer {
    /// Fast system calls.
    pub const SCE: u64 = 1 << 0;
    /// Long mode enabled.
    pub const LME: u64 = 1 << 8;
    /// Long mode active.
    pub const LMA: u64 = 1 << 10;
    /// No-execute.
    pub const NXE: u64 = 1 << 11;
    /// SVM. A guest's must be 1 for VMRUN (15.5.1), and does not show.
    pub const SVME: u64 = 1 << 12;
    /// Fast FXSAVE.
    pub const FFXSR: u64 = 1 << 14;

    /// What a guest may set.
    pub const GUEST: u64 = SCE | LME | NXE | FFXSR;
}

/// Why a guest exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A non-maskable interrupt of the physical CPU; it is taken when the global interrupt flag is set again.
    NonMaskable,
    /// CPUID.
    Cpuid,
    /// IRET.
    InterruptReturn,
    /// An access to an I/O port.
    Io(Io),
    /// A read of an MSR.
    ReadMsr,
    /// A write to an MSR.
    WriteMsr,
    /// A hypercall.
    Hypercall,
    /// An instruction that only makes sense above guests.
    Privileged,
    /// INVD.
    InvalidateCaches,
    /// A triple fault.
    Shutdown,
    /// An access outside its memory.
    Fault(Fault),
    /// The control block was refused.
    Refused,
    /// Nothing that was asked for.
    Unexpected(u32),
}

/// An access to an I/O port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Io {
    /// Which one.
    pub port: u16,
    /// IN rather than OUT.
    pub input: bool,
    /// INS or OUTS, repeated or not.
    pub string: bool,
    /// 1, 2 or 4.
    pub bytes: u8,
    /// Where the next instruction begins.
    pub next: u64,
}

/// A nested page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Guest physical address.
    pub address: u64,
    /// What it was.
    pub kind: FaultKind,
}

/// Says why a guest exited.
pub fn exit(vmcb: &Vmcb) -> Exit {
    let control = &vmcb.control;
    let info = control.exit_info_1;
    match control.exit_code as u32 {
        0x61 => Exit::NonMaskable,
        0x72 => Exit::Cpuid,
        0x74 => Exit::InterruptReturn,
        0x76 => Exit::InvalidateCaches,
        0x7b => Exit::Io(Io {
            port: (info >> 16) as u16,
            input: info & 1 != 0,
            string: info & 0b1100 != 0,
            bytes: (info >> 4 & 7) as u8,
            next: control.exit_info_2,
        }),
        0x7c if info & 1 == 0 => Exit::ReadMsr,
        0x7c => Exit::WriteMsr,
        0x7f => Exit::Shutdown,
        0x81 => Exit::Hypercall,
        0x7a | 0x80 | 0x82..=0x86 => Exit::Privileged,
        0x400 => Exit::Fault(Fault {
            address: control.exit_info_2,
            kind: fault(info),
        }),
        0xffff_ffff => Exit::Refused,
        other => Exit::Unexpected(other),
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

/// Events for [`event_injection`](super::vmcb::Control::event_injection) (15.20).
pub mod event {
    const VALID: u64 = 1 << 31;
    const WITH_CODE: u64 = 1 << 11;
    const EXCEPTION: u64 = 3 << 8;

    /// A non-maskable interrupt.
    pub const NON_MASKABLE: u64 = VALID | 2 << 8 | 2;

    /// #DB.
    pub const DEBUG: u64 = VALID | EXCEPTION | 1;
    /// #UD.
    pub const UNDEFINED: u64 = VALID | EXCEPTION | 6;
    /// #GP(0).
    pub const PROTECTION: u64 = VALID | WITH_CODE | EXCEPTION | 13;

    /// The event that was being delivered when the guest exited, to be delivered again. Bit 31 alone says whether there is one: QEMU leaves
    /// older bits in the others.
    pub const fn again(info: u64) -> u64 {
        if info & VALID == 0 { 0 } else { info }
    }
}

/// Puts the guest's registers into their state after INIT and a startup at `page`: real mode, at the page's first byte (AMD APM volume 2, 14.1.3 and
/// 16.5).
pub fn start_up(state: &mut State, page: u8) {
    const DATA: Segment = real(0, 0x93);
    const fn real(selector: u16, attributes: u16) -> Segment {
        Segment {
            selector,
            attributes,
            limit: 0xffff,
            base: (selector as u64) << 4,
        }
    }
    reset(state, 0);
    state.cs = real((page as u16) << 8, 0x9b);
    (state.ss, state.ds, state.es, state.fs, state.gs) = (DATA, DATA, DATA, DATA, DATA);
    (state.gdtr.limit, state.idtr.limit) = (0xffff, 0xffff);
    // Caches off, as after INIT: who starts up turns them on.
    state.cr0 = 0x6000_0010;
}

/// Puts the guest's registers into their state at the entry of the PVH boot protocol: 32-bit protected mode, flat segments, no paging,
/// interrupts off.
pub fn reset(state: &mut State, entry: u64) {
    const CODE: Segment = flat(0x08, 0xc9b);
    const DATA: Segment = flat(0x10, 0xc93);
    const fn flat(selector: u16, attributes: u16) -> Segment {
        Segment {
            selector,
            attributes,
            limit: u32::MAX,
            base: 0,
        }
    }
    const fn system(attributes: u16, limit: u32) -> Segment {
        Segment {
            selector: 0,
            attributes,
            limit,
            base: 0,
        }
    }
    *state = Vmcb::ZERO.state;
    state.cs = CODE;
    (state.ss, state.ds, state.es, state.fs, state.gs) = (DATA, DATA, DATA, DATA, DATA);
    state.ldtr = system(0x82, 0);
    // A task register must be that of a busy TSS.
    state.tr = system(0x8b, 0x67);
    state.cr0 = 0x11;
    state.efer = efer::SVME;
    state.rflags = 2;
    state.rip = entry;
    (state.dr6, state.dr7) = (0xffff_0ff0, 0x400);
    // What the PAT is after reset (7.8.2).
    state.pat = 0x0007_0406_0007_0406;
}

/// What of a guest's write to EFER takes effect. `None`: it is a #GP.
pub const fn write_efer(old: u64, value: u64, paging: bool) -> Option<u64> {
    // Long mode cannot be switched while paging is on (14.6.1).
    let switches = (old ^ value) & efer::LME != 0 && paging;
    if value & !(efer::GUEST | efer::LMA) != 0 || switches {
        return None;
    }
    Some(value & efer::GUEST | old & efer::LMA | efer::SVME)
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
            next: 0x1002,
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
    fn only_a_valid_event_is_delivered_again() {
        assert_eq!(event::again(0x8000_0020), 0x8000_0020);
        assert_eq!(event::again(0x0000_0b0d), 0);
    }

    #[test]
    fn efer_keeps_svme_and_refuses_what_guests_have_not() {
        let written = write_efer(efer::SVME, efer::LME | efer::NXE, false);
        assert_eq!(written, Some(efer::SVME | efer::LME | efer::NXE));
        assert_eq!(write_efer(efer::SVME, efer::SVME, false), None);
        assert_eq!(write_efer(efer::SVME, 1 << 15, false), None);
    }

    #[test]
    fn long_mode_is_not_switched_under_paging() {
        let old = efer::SVME | efer::LME | efer::LMA;
        assert_eq!(write_efer(old, efer::NXE, true), None);
        let kept = write_efer(old, efer::LME | efer::SCE, true);
        assert_eq!(kept, Some(old | efer::SCE));
    }

    #[test]
    fn startup_begins_in_real_mode_at_the_first_byte_of_its_page() {
        let mut vmcb = Vmcb::ZERO;
        start_up(&mut vmcb.state, 0x99);
        let state = &vmcb.state;
        assert_eq!((state.cs.selector, state.cs.base), (0x9900, 0x9_9000));
        assert_eq!((state.rip, state.cr0 & 0x8000_0001), (0, 0));
        assert_eq!((state.cs.limit, state.ds.limit), (0xffff, 0xffff));
        assert_eq!(state.efer, efer::SVME);
    }

    #[test]
    fn reset_state_is_flat_32_bit_protected_mode() {
        let mut vmcb = Vmcb::ZERO;
        vmcb.state.rax = 7;
        reset(&mut vmcb.state, 0x10_0000);
        let state = &vmcb.state;
        assert_eq!((state.rip, state.rax, state.cr0), (0x10_0000, 0, 0x11));
        assert_eq!((state.cs.attributes, state.cs.limit), (0xc9b, u32::MAX));
        assert_eq!(state.efer, efer::SVME);
    }
}
