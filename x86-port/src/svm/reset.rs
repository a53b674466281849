//! What a virtual CPU's registers begin with.

use super::vmcb::{Segment, State, Vmcb};
use crate::guest::{Beginning, Registers};

/// EFER.SVME. A guest's must be 1 for VMRUN (AMD APM volume 2, 15.5.1), and does not show.
pub const SVME: u64 = 1 << 12;

/// Puts the guest's registers into the state in which it begins. Returns those that no control block has.
pub fn first_state(state: &mut State, beginning: Beginning) -> Registers {
    match beginning {
        Beginning::Entry { pc, registers } => {
            reset(state, pc);
            registers
        }
        Beginning::Page(page) => {
            start_up(state, page);
            Registers::ZERO
        }
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
    state.efer = SVME;
    state.rflags = 2;
    state.rip = entry;
    (state.dr6, state.dr7) = (0xffff_0ff0, 0x400);
    // What the PAT is after reset (7.8.2).
    state.pat = 0x0007_0406_0007_0406;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startup_begins_in_real_mode_at_the_first_byte_of_its_page() {
        let mut vmcb = Vmcb::ZERO;
        start_up(&mut vmcb.state, 0x99);
        let state = &vmcb.state;
        assert_eq!((state.cs.selector, state.cs.base), (0x9900, 0x9_9000));
        assert_eq!((state.rip, state.cr0 & 0x8000_0001), (0, 0));
        assert_eq!((state.cs.limit, state.ds.limit), (0xffff, 0xffff));
        assert_eq!(state.efer, SVME);
    }

    #[test]
    fn reset_state_is_flat_32_bit_protected_mode() {
        let mut vmcb = Vmcb::ZERO;
        vmcb.state.rax = 7;
        reset(&mut vmcb.state, 0x10_0000);
        let state = &vmcb.state;
        assert_eq!((state.rip, state.rax, state.cr0), (0x10_0000, 0, 0x11));
        assert_eq!((state.cs.attributes, state.cs.limit), (0xc9b, u32::MAX));
        assert_eq!(state.efer, SVME);
    }
}
