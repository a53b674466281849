//! What a virtual CPU's registers begin with: those of [`svm::reset`](crate::svm::reset), as fields.

use super::field::{Vmcs, guest};
use crate::svm::reset::SVME;
use crate::svm::vmcb::{Segment, State};

/// Access rights of a segment (Intel SDM volume 3, 25.4.1): those of a descriptor with a gap, and a bit that says that there is none.
const fn rights(segment: &Segment) -> u64 {
    const UNUSABLE: u64 = 1 << 16;
    const LOCAL_TABLE: u16 = 0x82;
    let bits = segment.attributes as u64;
    // An empty local table would have to be a valid one.
    if segment.attributes == LOCAL_TABLE && segment.limit == 0 {
        return UNUSABLE;
    }
    bits & 0xff | (bits & 0xf00) << 4
}

/// Writes all registers of a guest but CR0 and CR4, which the hypervisor shares with it.
pub fn load(vmcs: &mut impl Vmcs, state: &State) {
    let segments = [
        state.es, state.cs, state.ss, state.ds, state.fs, state.gs, state.ldtr, state.tr,
    ];
    for (step, segment) in (0..).step_by(2).zip(&segments) {
        vmcs.write(guest::SELECTOR + step, segment.selector.into());
        vmcs.write(guest::LIMIT + step, segment.limit.into());
        vmcs.write(guest::RIGHTS + step, rights(segment));
        vmcs.write(guest::BASE + step, segment.base);
    }
    for field in guest::ZERO {
        vmcs.write(field, 0);
    }
    for (field, value) in [
        (guest::GDTR_LIMIT, state.gdtr.limit.into()),
        (guest::IDTR_LIMIT, state.idtr.limit.into()),
        (guest::EFER, state.efer & !SVME),
        (guest::PAT, state.pat),
        (guest::DR7, state.dr7),
        (guest::RFLAGS, state.rflags),
        (guest::RIP, state.rip),
        (guest::LINK, u64::MAX),
    ] {
        vmcs.write(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::table::Table;
    use super::*;
    use crate::svm::reset::{reset, start_up};
    use crate::svm::vmcb::Vmcb;

    fn loaded(prepare: impl FnOnce(&mut State)) -> Table {
        let mut state = Vmcb::ZERO.state;
        prepare(&mut state);
        let mut table = Table::default();
        load(&mut table, &state);
        table
    }

    #[test]
    fn entry_has_flat_segments_a_busy_task_and_no_local_table() {
        let table = loaded(|state| reset(state, 0x10_0000));
        let rights = |segment: u32| table.read(guest::RIGHTS + 2 * segment);
        assert_eq!((rights(1), rights(2)), (0xc09b, 0xc093));
        assert_eq!((rights(6), rights(7)), (0x1_0000, 0x8b));
        assert_eq!(table.read(guest::RIP), 0x10_0000);
        assert_eq!(table.read(guest::LINK), u64::MAX);
        assert_eq!(table.read(guest::EFER), 0);
    }

    #[test]
    fn startup_has_segments_of_real_mode() {
        let table = loaded(|state| start_up(state, 0x99));
        let code = 2;
        assert_eq!(table.read(guest::SELECTOR + code), 0x9900);
        assert_eq!(table.read(guest::BASE + code), 0x9_9000);
        assert_eq!(table.read(guest::LIMIT + code), 0xffff);
        assert_eq!(table.read(guest::RIGHTS + code), 0x9b);
    }
}
