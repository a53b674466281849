use model::{Pa, Vmid};

use super::super::controls::tests::CHOSEN;
use super::super::field::table::Table;
use super::*;
use crate::guest::{Guest as _, Instruction, Shared as _};

fn begun(beginning: Beginning) -> Guest<Table> {
    begun_with(beginning, None)
}

fn begun_with(beginning: Beginning, shares: Option<&'static VirtualApic>) -> Guest<Table> {
    let setup = Setup {
        controls: CHOSEN,
        xcr0: 0b111,
        shares,
    };
    let mut guest = Guest::new(Table::default(), setup);
    let space = Space {
        tag: Vmid::new(3),
        root: Pa::new(0x7000),
    };
    guest.restrict(0, 0x4000);
    guest.begin(beginning, space);
    guest
}

fn entered() -> Guest<Table> {
    begun(Beginning::Entry {
        pc: 0x10_0000,
        registers: Registers::ZERO,
    })
}

/// The guest exits for `reason` with an instruction of 3 bytes.
fn exit(guest: &mut Guest<Table>, reason: u32, qualification: u64) -> Exit {
    for (field, value) in [
        (information::REASON, reason.into()),
        (information::QUALIFICATION, qualification),
        (information::LENGTH, 3),
        // As the CPU does.
        (
            control::EVENT,
            guest.vmcs.read(control::EVENT) & !event::VALID,
        ),
    ] {
        guest.vmcs.write(field, value);
    }
    guest.attempt = Attempt::Exited;
    guest.exited()
}

#[test]
fn cause_of_an_exit_is_its_basic_reason_and_whether_it_was_an_interrupt() {
    const NMI: u64 = 1 << 31 | 2 << 8 | 2;
    const DEBUG: u64 = 1 << 31 | 3 << 8 | 1;
    const FAILED: u32 = 1 << 31;
    for ([flags, number], event, interrupt) in [
        ([0, 0], NMI, true),
        ([0, 0], DEBUG, false),
        ([0, 1], 0, true),
        ([0, 18], NMI, false),
        ([0, 52], 0, true),
        ([FAILED, 33], NMI, false),
    ] {
        let mut guest = entered();
        guest.vmcs.write(information::EVENT, event);
        guest
            .vmcs
            .write(information::REASON, (flags | number).into());
        guest.attempt = Attempt::Exited;
        assert_eq!(guest.cause(), Cause { number, interrupt }, "{number}");
    }
}

#[test]
fn cause_is_not_an_earlier_exits_where_the_guest_was_not_entered() {
    for (attempt, number, interrupt) in [(Attempt::Called, 0, true), (Attempt::Failed, 33, false)] {
        let mut guest = entered();
        guest.vmcs.write(information::REASON, 18);
        guest.attempt = attempt;
        assert_eq!(guest.cause(), Cause { number, interrupt });
    }
}

#[test]
fn guest_begins_with_its_own_tables_and_without_old_translations() {
    let guest = entered();
    let field = |field| guest.vmcs.read(field);
    assert_eq!(
        (field(control::VPID), &guest.vmcs.renewed[..]),
        (3, &[3][..])
    );
    assert_eq!(field(control::EPT_POINTER), 0x701e);
    assert_eq!(field(control::MSR_BITMAP), 0x4000);
    assert_eq!((field(state::CR0), guest.cr0()), (0x31, 0x11));
    assert_eq!((field(state::CR4), guest.cr4()), (VMXE, 0));
    assert!(guest.takes_event());
}

#[test]
fn instruction_that_is_stepped_over_is_seen_by_who_steps() {
    let mut guest = entered();
    guest.vmcs.write(state::INTERRUPTIBILITY, 1);
    assert_eq!(exit(&mut guest, 10, 0), Exit::Cpuid);
    guest.skip(Instruction::Cpuid);
    assert_eq!(guest.pc(), 0x10_0003);
    assert_eq!(guest.vmcs.read(state::INTERRUPTIBILITY), 0);
    assert_eq!(guest.vmcs.read(state::PENDING_DEBUG), 0);
    guest.vmcs.write(state::RFLAGS, 2 | TRAP);
    guest.skip(Instruction::Cpuid);
    assert_eq!(guest.vmcs.read(state::PENDING_DEBUG), 1 << 14);
}

#[test]
fn event_that_an_exit_interrupted_is_delivered_again_with_its_code() {
    let mut guest = entered();
    guest.vmcs.write(information::VECTORING, 0x8000_1b0e);
    guest.vmcs.write(information::VECTORING_CODE, 2);
    exit(&mut guest, reason::EPT_VIOLATION, 0x181);
    assert_eq!(guest.vmcs.read(control::EVENT), 0x8000_0b0e);
    assert_eq!(guest.vmcs.read(control::EVENT_CODE), 2);
    assert!(!guest.takes_event());
}

#[test]
fn interrupted_nmi_is_no_longer_blocked_by_itself_and_an_interrupted_iret_blocks_on() {
    let mut guest = entered();
    guest
        .vmcs
        .write(information::VECTORING, event::of(Event::NonMaskable));
    guest.vmcs.write(state::INTERRUPTIBILITY, held::BY_NMI);
    exit(&mut guest, reason::EPT_VIOLATION, 0x181);
    assert_eq!(guest.vmcs.read(state::INTERRUPTIBILITY), 0);

    let mut guest = entered();
    exit(&mut guest, reason::EPT_VIOLATION, 0x1181);
    assert_eq!(guest.vmcs.read(state::INTERRUPTIBILITY), held::BY_NMI);
}

#[test]
fn write_of_ne_is_executed_again_and_then_exits_no_more() {
    let mut guest = entered();
    assert_eq!(exit(&mut guest, 28, 0), Exit::Answered);
    assert_eq!((guest.cr0(), guest.pc()), (0x31, 0x10_0000));
    assert_eq!(guest.vmcs.read(state::CR0), 0x31);
}

#[test]
fn guest_that_sets_vmxe_gets_a_protection_fault() {
    let mut guest = entered();
    assert_eq!(exit(&mut guest, 28, 4), Exit::Answered);
    assert_eq!(
        guest.vmcs.read(control::EVENT),
        event::of(Event::Protection)
    );
    assert_eq!(guest.cr4(), 0);
}

#[test]
fn protection_fault_in_real_mode_has_no_error_code() {
    let mut guest = begun(Beginning::Page(8));
    guest.inject(Event::Protection);
    assert_eq!(guest.vmcs.read(control::EVENT), 0x8000_030d);
    let mut guest = entered();
    guest.inject(Event::Protection);
    assert_eq!(guest.vmcs.read(control::EVENT), 0x8000_0b0d);
}

#[test]
fn xsetbv_takes_effect_with_a_valid_value_and_is_a_fault_with_others() {
    for (register, value, denied, expected) in [
        (0, 7, 0, Some(7)),
        (0, 5, 0, None),
        (1, 7, 0, None),
        (0, 7, 4, None),
        (0, 3, 4, Some(3)),
    ] {
        let mut guest = entered();
        guest.restrict(denied, 0x4000);
        guest.rax = value;
        guest.registers.rcx = register;
        assert_eq!(exit(&mut guest, 55, 0), Exit::Answered);
        assert_eq!(guest.vmcs.xcr0, expected);
        let faulted = guest.vmcs.read(control::EVENT) == event::of(Event::Protection);
        assert_eq!(
            (faulted, guest.pc() == 0x10_0000),
            (expected.is_none(), expected.is_none())
        );
    }
}

#[test]
fn nmi_waits_for_the_instruction_that_holds_it_back() {
    let mut guest = entered();
    guest.vmcs.write(state::INTERRUPTIBILITY, 1);
    guest.inject(Event::NonMaskable);
    guest.watch_non_maskable(true);
    assert_eq!(guest.vmcs.read(control::EVENT), 0);
    assert!(!guest.takes_event());

    assert_eq!(exit(&mut guest, 8, 0), Exit::Answered);
    assert_eq!(
        guest.vmcs.read(control::EVENT),
        event::of(Event::NonMaskable)
    );
    assert_eq!(exit(&mut guest, 8, 0), Exit::NonMaskableDone);
}

#[test]
fn privilege_level_is_that_of_the_stack_segment() {
    let mut guest = entered();
    assert!(!guest.is_user());
    guest.vmcs.write(state::SS_RIGHTS, 0xc0f3);
    assert!(guest.is_user());
}

#[test]
fn entry_that_failed_is_told_whatever_its_number() {
    let mut guest = entered();
    assert_eq!(exit(&mut guest, 1 << 31 | 33, 0), Exit::Refused);
}

#[test]
fn nmi_that_made_the_guest_exit_is_handled_and_one_before_the_entry_was() {
    let mut guest = entered();
    guest.inject(Event::Protection);
    assert_eq!(guest.exited(), Exit::NonMaskable);
    assert_eq!((guest.vmcs.taken, guest.takes_event()), (0, false));

    guest
        .vmcs
        .write(information::EVENT, event::of(Event::NonMaskable));
    assert_eq!(exit(&mut guest, 0, 0), Exit::NonMaskable);
    assert_eq!((guest.vmcs.taken, guest.takes_event()), (1, true));
}

#[test]
fn structure_that_the_cpu_does_not_take_is_refused() {
    let mut guest = entered();
    guest.attempt = Attempt::Failed;
    assert_eq!(guest.exited(), Exit::Refused);
}

/// One that shares its CPU and takes interrupts.
fn sharing() -> Guest<Table> {
    let page = Box::leak(Box::new(VirtualApic::NEW));
    let mut guest = begun_with(Beginning::Page(1), Some(page));
    guest.vmcs.write(state::RFLAGS, 2 | INTERRUPTS);
    guest
}

#[test]
fn who_shares_exits_for_interrupts_hlt_and_endless_exceptions() {
    let guest = sharing();
    let has = |field, bits| guest.vmcs.read(field) & u64::from(bits) == u64::from(bits);
    assert!(has(control::PIN, shared::PIN) && has(control::PRIMARY, shared::PRIMARY));
    assert!(has(control::SECONDARY, shared::SECONDARY));
    assert_eq!(guest.vmcs.read(control::EXCEPTIONS), 0x2_0002);
    assert_eq!(entered().vmcs.read(control::EXCEPTIONS), 0);
}

#[test]
fn interrupt_is_watched_by_a_window_or_by_the_task_priority_that_holds_it_back() {
    let mut guest = sharing();
    let watched = |guest: &Guest<Table>| {
        let window = guest.vmcs.read(control::PRIMARY) & u64::from(shared::WINDOW) != 0;
        (window, guest.vmcs.read(control::THRESHOLD))
    };
    guest.set_task_class(5);
    assert_eq!(guest.task_class(), 5);
    for (class, expected) in [
        (Some(6), (true, 0)),
        (Some(5), (false, 5)),
        (Some(2), (false, 2)),
        (None, (false, 0)),
    ] {
        guest.watch_interrupts(class);
        assert_eq!(watched(&guest), expected, "{class:?}");
    }
}

#[test]
fn interrupt_is_taken_when_neither_flag_nor_instruction_nor_event_is_in_the_way() {
    let mut guest = sharing();
    assert!(guest.takes_interrupt());
    guest.vmcs.write(state::INTERRUPTIBILITY, 2);
    assert!(guest.is_interruptible() && !guest.takes_interrupt());
    guest.vmcs.write(state::INTERRUPTIBILITY, 0);
    guest.inject(Event::Interrupt(0x41));
    assert_eq!(guest.vmcs.read(control::EVENT), 0x8000_0041);
    assert!(!guest.takes_interrupt());
    guest.vmcs.write(state::RFLAGS, 2);
    assert!(!guest.is_interruptible());
}

#[test]
fn debug_exception_that_exits_has_its_reason_in_dr6() {
    let mut guest = sharing();
    guest.vmcs.write(information::EVENT, 0x8000_0301);
    let exited = exit(&mut guest, 0, 1 << 14 | 2);
    assert_eq!(exited, Exit::Exception(Event::Debug));
    assert_eq!(guest.vmcs.dr6, 1 << 14 | 2);
}

#[test]
fn timer_never_ends_before_its_ticks_and_a_long_time_is_the_longest_there_is() {
    let mut guest = sharing();
    for (ticks, counts) in [
        (0, 1),
        (31, 1),
        (32, 2),
        (3200, 101),
        (u64::MAX, 0xffff_ffff),
    ] {
        guest.limit(ticks);
        assert_eq!(guest.vmcs.read(state::TIMER), counts, "{ticks}");
    }
}
