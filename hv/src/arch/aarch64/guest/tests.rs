//! Exits from the outside: what a guest does goes in, what the machine and the guest see comes out.

use gic::LrState;
use model::device::Width;
use model::partition::FaultPolicy;

use super::*;
use crate::fake::{
    CPU_INTERFACE, CPU_ON, DISTRIBUTOR, Done, ENTRY, FakeCpu, Guest, LINUX, NOWHERE, OWNED_SPI,
    Outcome, PCPUS, RAM, REDISTRIBUTORS, RT, SYSTEM_OFF, UART, UART_SPI, World, access, advance,
    events, list_registers, set_room, split_ends, take_done, take_wire, type_in, use_interface,
};

const WIDTHS: [Width; 4] = [Width::Byte, Width::Half, Width::Word, Width::Double];

/// PSCI VERSION.
const VERSION: u64 = 0x8400_0000;
const AFFINITY_INFO: u64 = 0xc400_0004;

const DR: u64 = UART;
const FR: u64 = UART + 0x18;
const IBRD: u64 = UART + 0x24;
const LCR_H: u64 = UART + 0x2c;
const IMSC: u64 = UART + 0x38;

fn linux() -> Guest {
    World::new().started(LINUX)
}

/// `LINUX` whose partition answers faults with `policy`.
fn with_policy(policy: FaultPolicy) -> Guest {
    World::with(|linux| linux.on_fault = policy).started(LINUX)
}

/// The exception that the guest took, if it took one: ESR_EL1, ELR_EL1 and FAR_EL1.
fn exception() -> Option<(u64, u64, Option<u64>)> {
    take_done().into_iter().find_map(|done| match done {
        Done::Exception { esr, elr, far } => Some((esr, elr, far)),
        _ => None,
    })
}

fn fault_kinds() -> Vec<FaultKind> {
    let kinds = events().into_iter().filter_map(|event| match event {
        crate::event::Event::Fault { kind, .. } => Some(kind),
        _ => None,
    });
    kinds.collect()
}

fn count(guest: &Guest, kind: ExitKind) -> u64 {
    guest.vcpu.partition.cost(kind).count()
}

// Calls.

#[test]
fn version_by_hvc_and_by_smc_gives_the_same_answer_and_both_go_on_behind_the_call() {
    let mut guest = linux();
    assert_eq!(guest.hvc([VERSION, 0, 0, 0]), Outcome::Resumed);
    assert_eq!((guest.x0(), guest.pc()), (0x1_0001, ENTRY + 4));
    assert_eq!(guest.smc([VERSION, 0, 0, 0]), Outcome::Resumed);
    assert_eq!((guest.x0(), guest.pc()), (0x1_0001, ENTRY + 8));
}

#[test]
fn call_changes_no_register_but_x0() {
    let mut guest = linux();
    guest.vcpu.context.x = core::array::from_fn(|n| n as u64 + 100);
    guest.hvc([VERSION, 1, 2, 3]);
    assert_eq!(guest.vcpu.context.x[1..4], [1, 2, 3]);
    assert_eq!(guest.vcpu.context.x[30], 130);
}

#[test]
fn unknown_hypercall_is_not_supported_and_goes_nowhere() {
    let mut guest = linux();
    guest.hvc([0x8600_fe01, 0, 0, 0]);
    assert_eq!(guest.x0(), status::NOT_SUPPORTED);
    assert_eq!(take_done(), []);
}

#[test]
fn call_with_a_number_in_its_instruction_is_not_supported_whatever_x0_says() {
    let mut guest = linux();
    for class in [0x16, 0x17] {
        guest.vcpu.context.x[0] = VERSION;
        let syndrome = Syndrome {
            esr: class << 26 | 1 << 25 | 1,
            far: 0,
            hpfar: 0,
        };
        guest.exit(Reason::Synchronous, syndrome);
        assert_eq!(guest.x0(), status::NOT_SUPPORTED);
    }
}

#[test]
fn unknown_firmware_call_of_a_partition_without_the_right_stays_here() {
    let mut guest = linux();
    guest.smc([0xc200_0001, 0, 0, 0]);
    assert_eq!((guest.x0(), guest.pc()), (status::NOT_SUPPORTED, ENTRY + 4));
    assert_eq!(take_done(), []);
}

#[test]
fn unknown_firmware_call_of_a_partition_with_the_right_reaches_the_firmware_and_its_answer_comes_back()
 {
    let mut guest = World::with(|linux| linux.firmware_calls = true).started(LINUX);
    guest.smc([0xc200_0001, 0, 0, 0]);
    assert_eq!(take_done(), [Done::FirmwareCall(0xc200_0001)]);
    assert_eq!((guest.x0(), guest.pc()), (0xf1, ENTRY + 4));
}

#[test]
fn unknown_hypercall_never_reaches_the_firmware_even_with_the_right() {
    let mut guest = World::with(|linux| linux.firmware_calls = true).started(LINUX);
    guest.hvc([0xc200_0001, 0, 0, 0]);
    assert_eq!(guest.x0(), status::NOT_SUPPORTED);
    assert_eq!(take_done(), []);
}

#[test]
fn power_functions_never_reach_the_firmware_even_with_the_right() {
    let mut guest = World::with(|linux| linux.firmware_calls = true).started(LINUX);
    // MIGRATE, SYSTEM_SUSPEND, MEM_PROTECT, the last of the range; with a dirty upper half, too.
    for function in [
        0x8400_0005,
        0xc400_000e,
        0x8400_0013,
        0xc400_001f,
        0xff_8400_0013,
    ] {
        guest.smc([function, 0, 0, 0]);
        assert_eq!(guest.x0(), status::NOT_SUPPORTED);
    }
    assert_eq!(take_done(), []);
}

#[test]
fn cpu_on_kicks_the_pcpu_of_the_target_and_nobody_else() {
    let mut guest = linux();
    guest.hvc([CPU_ON, 1, ENTRY, 42]);
    assert_eq!(guest.x0(), status::SUCCESS);
    assert_eq!(take_done(), [Done::Kick(PCPUS[1])]);
}

#[test]
fn cpu_on_that_cannot_be_done_says_why_and_kicks_nobody() {
    let mut guest = linux();
    let cases = [
        ([CPU_ON, 0, ENTRY, 0], status::ALREADY_ON),
        ([CPU_ON, 7, ENTRY, 0], status::INVALID_PARAMETERS),
        // The physical affinity of its pCPU is not its name.
        ([CPU_ON, PCPUS[1], ENTRY, 0], status::INVALID_PARAMETERS),
        ([CPU_ON, 1, NOWHERE, 0], status::INVALID_ADDRESS),
        ([CPU_ON, 1, ENTRY + 2, 0], status::INVALID_ADDRESS),
        ([CPU_ON, 1, RAM + 0x10_0000, 0], status::INVALID_ADDRESS),
    ];
    for (arguments, expected) in cases {
        guest.smc(arguments);
        assert_eq!(guest.x0(), expected, "{arguments:x?}");
    }
    assert_eq!(take_done(), []);
}

#[test]
fn second_cpu_on_before_the_target_started_is_pending() {
    let mut guest = linux();
    guest.hvc([CPU_ON, 1, ENTRY, 0]);
    guest.hvc([CPU_ON, 1, ENTRY, 0]);
    assert_eq!(guest.x0(), status::ON_PENDING);
    guest.hvc([AFFINITY_INFO, 1, 0, 0]);
    assert_eq!(guest.x0(), 2);
}

#[test]
fn affinity_info_tells_on_from_off_and_refuses_strangers() {
    let mut guest = linux();
    for (target, level, expected) in [(0, 0, 0), (1, 0, 1), (0, 1, 0), (9, 0, -2), (0, 4, -2)] {
        guest.hvc([AFFINITY_INFO, target, level, 0]);
        assert_eq!(guest.x0(), expected, "target {target} level {level}");
    }
}

#[test]
fn suspend_with_nothing_pending_waits_for_an_interrupt_and_succeeds() {
    let mut guest = linux();
    crate::fake::script(|| advance(5));
    assert_eq!(guest.hvc([0xc400_0001, 0, 0, 0]), Outcome::Resumed);
    assert_eq!(guest.x0(), status::SUCCESS);
    assert_eq!(FakeCpu::now(), 1005);
}

#[test]
fn suspend_with_a_virtual_interrupt_in_a_list_register_does_not_wait() {
    let mut guest = linux();
    enable(&mut guest, UART_SPI);
    raise_uart(&mut guest);
    assert_eq!(guest.hvc([0xc400_0001, 0, 0, 0]), Outcome::Resumed);
}

/// The guest enables group 1 and an SPI at its distributor, and takes it on its first CPU.
fn enable(guest: &mut Guest, intid: u32) {
    guest.store(DISTRIBUTOR, Width::Word, 1 << 1);
    let offset = 0x100 + u64::from(intid) / 32 * 4;
    guest.store(DISTRIBUTOR + offset, Width::Word, 1 << (intid % 32));
}

/// The guest has its UART interrupt: a character was sent, and the transmit interrupt is not masked.
fn raise_uart(guest: &mut Guest) {
    guest.store(DR, Width::Byte, b'x'.into());
    guest.store(IMSC, Width::Word, 1 << 5);
}

// System registers.

#[test]
fn unknown_system_register_is_undefined_and_the_exception_returns_to_it() {
    let mut guest = linux();
    // HCR_EL2.
    guest.system_register([3, 4, 1, 1, 0], false);
    assert_eq!(exception(), Some((1 << 25, ENTRY, None)));
    assert_eq!(guest.pc(), RAM + 0x200);
    assert_eq!(count(&guest, ExitKind::SystemRegister), 1);
}

#[test]
fn identification_of_a_cpu_that_has_everything_shows_no_el2_and_a_gicv3() {
    let mut guest = linux();
    guest.system_register([3, 0, 0, 4, 0], false);
    let pfr0 = guest.vcpu.context.x[5];
    assert_eq!((pfr0 >> 8) & 0xf, 0, "EL2");
    assert_eq!((pfr0 >> 32) & 0xf, 0, "SVE");
    assert_eq!((pfr0 >> 24) & 0xf, 1, "GIC");
    assert_eq!(guest.pc(), ENTRY + 4);
}

#[test]
fn identification_with_a_gicv2_shows_no_system_register_interface() {
    let mut guest = World::new().started(RT);
    guest.system_register([3, 0, 0, 4, 0], false);
    assert_eq!((guest.vcpu.context.x[5] >> 24) & 0xf, 0);
}

#[test]
fn physical_address_range_is_no_wider_than_the_address_space_of_the_partition() {
    let mut guest = linux();
    guest.system_register([3, 0, 0, 7, 0], false);
    assert_eq!(guest.vcpu.context.x[5] & 0xf, pa_range(36));
}

#[test]
fn set_way_maintenance_does_nothing_and_goes_on() {
    let mut guest = linux();
    guest.system_register([1, 0, 7, 14, 2], true);
    assert_eq!((take_done(), guest.pc()), (vec![], ENTRY + 4));
}

#[test]
fn sgi_to_the_other_cpu_kicks_its_pcpu_and_comes_into_its_list_register() {
    let (mut first, mut second) = World::new().both();
    for guest in [&mut first, &mut second] {
        let frame = REDISTRIBUTORS + 0x2_0000 * u64::from(guest.vcpu.id.get());
        guest.store(DISTRIBUTOR, Width::Word, 1 << 1);
        guest.store(frame + 0x1_0100, Width::Word, 1 << 3);
    }
    take_done();
    // ICC_SGI1R_EL1: SGI 3 to Aff0 1.
    first.vcpu.context.x[5] = 3 << 24 | 1 << 1;
    first.system_register([3, 0, 12, 11, 5], true);
    assert_eq!(first.vcpu.context.x[5], 3 << 24 | 1 << 1);
    assert_eq!(take_done(), [Done::Kick(PCPUS[1])]);
    second.pending_interrupt();
    let held = list_registers(1);
    assert_eq!(held.len(), 1);
    assert_eq!(
        (held[0].virtual_id.get(), held[0].state),
        (3, LrState::Pending)
    );
}

#[test]
fn system_registers_of_a_gicv3_are_on_and_cannot_be_turned_off() {
    const ICC_SRE: [u64; 5] = [3, 0, 12, 12, 5];
    let mut guest = linux();
    guest.vcpu.context.x[5] = 0;
    assert_eq!(guest.system_register(ICC_SRE, true), Outcome::Resumed);
    assert_eq!(guest.system_register(ICC_SRE, false), Outcome::Resumed);
    assert_eq!((guest.vcpu.context.x[5], exception()), (7, None));
}

#[test]
fn sgi_register_is_undefined_with_a_gicv2() {
    let mut guest = World::new().started(RT);
    guest.system_register([3, 0, 12, 11, 5], true);
    assert!(exception().is_some());
}

/// ICC_DIR_EL1.
const ICC_DIR: [u64; 5] = [3, 0, 12, 11, 1];

/// The owned SPI is active in a list register of the first CPU, linked.
fn linux_that_handles_its_spi() -> Guest {
    let mut guest = linux();
    guest.store(DISTRIBUTOR, Width::Word, 1 << 1);
    guest.store(DISTRIBUTOR + 0x104, Width::Word, 1 << (OWNED_SPI - 32));
    guest.interrupt(OWNED_SPI);
    use_interface(0, |registers| registers[0].state = LrState::Active);
    take_done();
    guest.vcpu.context.x[5] = OWNED_SPI.into();
    guest
}

#[test]
fn trapped_deactivation_ends_the_physical_interrupt() {
    let mut guest = linux_that_handles_its_spi();
    split_ends();
    let pc = guest.pc();
    guest.system_register(ICC_DIR, true);
    assert!(take_done().contains(&Done::DeactivatePhysical(OWNED_SPI)));
    assert_eq!((list_registers(0), guest.pc()), (vec![], pc + 4));
}

#[test]
fn trapped_deactivation_of_a_guest_that_does_not_separate_it_does_nothing() {
    let mut guest = linux_that_handles_its_spi();
    let pc = guest.pc();
    guest.system_register(ICC_DIR, true);
    assert_eq!((take_done(), guest.pc()), (vec![], pc + 4));
    assert_eq!(list_registers(0).len(), 1);
}

#[test]
fn trapped_deactivation_is_undefined_with_a_gicv2() {
    let mut guest = World::new().started(RT);
    guest.system_register(ICC_DIR, true);
    assert!(exception().is_some());
}

#[test]
fn deactivation_page_of_a_gicv2_ends_what_is_active_and_reads_as_zero() {
    let mut guest = World::new().started(RT);
    split_ends();
    // SGI 3 is active.
    guest.store(DISTRIBUTOR + 0x300, Width::Word, 1 << 3);
    guest.store(CPU_INTERFACE + 0x1000, Width::Word, 3);
    assert_eq!(guest.load(DISTRIBUTOR + 0x300, Width::Word), 0);
    assert_eq!(guest.load(CPU_INTERFACE + 0x1000, Width::Word), 0);
    assert_eq!(guest.load(CPU_INTERFACE + 0x1ffc, Width::Word), 0);
    assert_eq!(fault_kinds(), []);
    guest.access(CPU_INTERFACE + 0x2000, access(Width::Word, 5));
    assert_eq!(fault_kinds().len(), 1);
}

// Virtual UART.

#[test]
fn character_stored_with_any_width_up_to_a_word_goes_out() {
    for width in &WIDTHS[..3] {
        let mut guest = linux();
        assert_eq!(guest.store(DR, *width, 0xffff_ff41), Outcome::Resumed);
        assert_eq!((take_wire().as_str(), guest.pc()), ("[linux] A", ENTRY + 4));
    }
}

#[test]
fn double_word_store_to_the_uart_is_ignored_and_its_load_is_zero() {
    let mut guest = linux();
    guest.store(DR, Width::Double, 0x41);
    assert_eq!(take_wire(), "");
    assert_eq!(guest.load(FR, Width::Double), 0);
    assert_eq!(fault_kinds(), []);
}

#[test]
fn load_narrower_than_the_register_gives_its_low_bits_and_zeros_above() {
    let mut guest = linux();
    guest.store(IBRD, Width::Word, 0xfedc);
    let loaded = [Width::Byte, Width::Half, Width::Word].map(|width| guest.load(IBRD, width));
    assert_eq!(loaded, [0xdc, 0xfedc, 0xfedc]);
}

#[test]
fn signed_load_extends_to_the_width_of_its_register() {
    let mut guest = linux();
    guest.store(IBRD, Width::Word, 0xfedc);
    guest.access(IBRD, access(Width::Byte, 5) | 1 << 21);
    assert_eq!(guest.vcpu.context.x[5], 0xffff_ffdc);
    guest.access(IBRD, access(Width::Half, 5) | 1 << 21 | 1 << 15);
    assert_eq!(guest.vcpu.context.x[5], 0xffff_ffff_ffff_fedc);
}

#[test]
fn store_of_xzr_writes_zero_and_load_into_it_changes_nothing() {
    let mut guest = linux();
    guest.store(IBRD, Width::Word, 5);
    let before = guest.vcpu.context.x;
    guest.access(IBRD, access(Width::Word, 31));
    assert_eq!(guest.vcpu.context.x, before);
    guest.access(IBRD, access(Width::Word, 31) | 1 << 6);
    assert_eq!(guest.load(IBRD, Width::Word), 0);
}

#[test]
fn transmit_interrupt_of_the_uart_comes_into_a_list_register_without_hardware_link() {
    let mut guest = linux();
    enable(&mut guest, UART_SPI);
    raise_uart(&mut guest);
    let held = list_registers(0);
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].virtual_id.get(), UART_SPI);
    assert_eq!(held[0].hardware, None);
}

#[test]
fn last_byte_of_the_uart_page_is_the_uart_and_the_one_behind_is_a_fault() {
    let mut guest = linux();
    assert_eq!(guest.load(UART + 0xfff, Width::Byte), 0);
    assert_eq!(fault_kinds(), []);
    guest.access(UART + 0x1000, access(Width::Byte, 5));
    assert_eq!(fault_kinds(), [FaultKind::Read(AbortCause::Translation)]);
}

#[test]
fn text_that_finds_the_wire_full_waits_and_is_not_lost() {
    let mut guest = linux();
    set_room(8);
    for byte in b"hello\n" {
        guest.store(DR, Width::Byte, u64::from(*byte));
    }
    assert_eq!(take_wire(), "[linux] ");
    set_room(usize::MAX);
    guest.vcpu.hypervisor.serve_console();
    assert_eq!(take_wire(), "hello\r\n");
}

#[test]
fn text_of_a_partition_out_of_focus_waits_for_its_line_and_sets_the_alarm() {
    let mut guest = World::new().started(RT);
    guest.store(DR, Width::Byte, b'o'.into());
    assert_eq!(take_wire(), "");
    assert_eq!(
        take_done(),
        [Done::Alarm(FakeCpu::now() + crate::fake::PATIENCE)]
    );
    guest.store(DR, Width::Byte, b'\n'.into());
    assert_eq!(take_wire(), "[rt] o\r\n");
}

#[test]
fn typed_bytes_beyond_the_fifo_follow_when_the_guest_reads() {
    let mut guest = linux();
    guest.store(LCR_H, Width::Word, 1 << 4);
    type_in(b"0123456789abcdefghi");
    guest.vcpu.hypervisor.serve_console();
    let read: Vec<u8> = (0..19).map(|_| guest.load(DR, Width::Word) as u8).collect();
    assert_eq!(read, b"0123456789abcdefghi");
    assert_eq!(guest.load(FR, Width::Word) & (1 << 4), 1 << 4, "empty");
}

// Virtual interrupt controller.

#[test]
fn distributor_answers_at_its_first_and_last_register_and_not_behind_its_frame() {
    let mut guest = linux();
    assert_eq!(guest.load(DISTRIBUTOR, Width::Word), 1 << 4 | 1 << 6);
    // PIDR2: architecture revision 3.
    assert_eq!(
        (guest.load(DISTRIBUTOR + 0xffe8, Width::Word) >> 4) & 0xf,
        3
    );
    assert_eq!(guest.load(DISTRIBUTOR + 0xffff, Width::Byte), 0);
    assert_eq!(fault_kinds(), []);
    guest.access(DISTRIBUTOR + 0x1_0000, access(Width::Byte, 5));
    assert_eq!(fault_kinds(), [FaultKind::Read(AbortCause::Translation)]);
}

#[test]
fn redistributor_of_each_cpu_answers_with_its_number_and_the_last_one_is_marked() {
    let mut guest = linux();
    let types = [0, 1].map(|cpu| guest.load(REDISTRIBUTORS + cpu * 0x2_0000 + 8, Width::Double));
    assert_eq!(types.map(|value| (value >> 8) & 0xffff), [0, 1]);
    assert_eq!(types.map(|value| value & (1 << 4) != 0), [false, true]);
}

#[test]
fn byte_behind_the_last_redistributor_is_a_fault_and_the_one_before_is_not() {
    let mut guest = linux();
    let end = REDISTRIBUTORS + 2 * 0x2_0000;
    assert_eq!(guest.load(end - 1, Width::Byte), 0);
    assert_eq!(fault_kinds(), []);
    guest.access(end, access(Width::Word, 5) | 1 << 6);
    assert_eq!(fault_kinds(), [FaultKind::Write(AbortCause::Translation)]);
}

#[test]
fn gap_between_redistributors_that_are_far_apart_is_a_fault() {
    let mut guest = World::with(|linux| {
        linux.gic = VirtualGic::V3 {
            distributor: Ipa::new(DISTRIBUTOR),
            redistributors: Ipa::new(REDISTRIBUTORS),
            stride: 0x4_0000,
        };
    })
    .started(LINUX);
    guest.access(REDISTRIBUTORS + 0x2_0000, access(Width::Word, 5));
    assert_eq!(fault_kinds().len(), 1);
    assert_eq!(guest.load(REDISTRIBUTORS + 0x4_0008, Width::Word) >> 8, 1);
}

#[test]
fn misaligned_access_to_the_own_distributor_is_a_fault_of_alignment_not_of_foreign_memory() {
    let mut guest = linux();
    for (offset, width) in [(2, Width::Word), (1, Width::Half), (0x6104, Width::Double)] {
        guest.access(DISTRIBUTOR + offset, access(width, 5));
    }
    assert_eq!(fault_kinds(), [FaultKind::Read(AbortCause::Alignment); 3]);
}

#[test]
fn distributor_of_a_gicv2_ends_after_its_page() {
    let mut guest = World::new().started(RT);
    // CIDR3, the last register.
    assert_eq!(guest.load(DISTRIBUTOR + 0xffc, Width::Word), 0xb1);
    assert_eq!(guest.load(DISTRIBUTOR + 0xfff, Width::Byte), 0);
    assert_eq!(fault_kinds(), []);
    guest.access(DISTRIBUTOR + 0x1000, access(Width::Word, 5));
    assert_eq!(fault_kinds().len(), 1);
}

// Faults.

#[test]
fn load_from_nowhere_injects_a_data_abort_at_the_instruction_with_its_address() {
    let mut guest = linux();
    guest.access(NOWHERE + 0x34, access(Width::Word, 5));
    assert_eq!(
        events(),
        [crate::event::Event::Fault {
            partition: model::PartitionId::new(0),
            vcpu: VcpuId::new(0),
            kind: FaultKind::Read(AbortCause::Translation),
            address: NOWHERE + 0x34,
            pc: ENTRY,
            count: 1,
        }]
    );
    let (esr, elr, far) = exception().unwrap();
    assert_eq!((esr >> 26, esr & (1 << 6)), (0x25, 0));
    assert_eq!((elr, far), (ENTRY, Some(0xffff_8000_0000_0034)));
    assert_eq!(guest.pc(), RAM + 0x200);
}

#[test]
fn store_to_nowhere_injects_a_data_abort_that_says_write() {
    let mut guest = linux();
    guest.store(NOWHERE, Width::Word, 0);
    assert_eq!(fault_kinds(), [FaultKind::Write(AbortCause::Translation)]);
    assert_eq!(exception().unwrap().0 & (1 << 6), 1 << 6);
}

#[test]
fn store_to_read_only_memory_is_a_permission_fault_not_an_access() {
    let mut guest = linux();
    guest.access(UART, access(Width::Word, 5) | 1 << 6 | 0x08);
    assert_eq!(fault_kinds(), [FaultKind::Write(AbortCause::Permission)]);
    assert_eq!(take_wire(), "");
}

#[test]
fn store_pair_to_a_device_is_a_fault_for_want_of_a_syndrome() {
    let mut guest = linux();
    guest.access(UART, 1 << 6 | 0x07);
    assert_eq!(fault_kinds(), [FaultKind::Write(AbortCause::Translation)]);
}

#[test]
fn jump_to_nowhere_injects_an_instruction_abort() {
    let mut guest = linux();
    guest.fetch(NOWHERE, 0x07);
    assert_eq!(fault_kinds(), [FaultKind::Execute(AbortCause::Translation)]);
    assert_eq!(exception().unwrap().0 >> 26, 0x21);
}

#[test]
fn table_walk_into_nowhere_injects_an_external_abort_on_a_walk() {
    let mut guest = linux();
    guest.access(NOWHERE, 1 << 7 | 0x07);
    assert_eq!(fault_kinds(), [FaultKind::Read(AbortCause::TableWalk)]);
    let esr = exception().unwrap().0;
    assert_eq!((esr >> 26, esr & 0x3f), (0x25, 0x17));
    guest.fetch(NOWHERE, 1 << 7 | 0x07);
    assert_eq!(exception().unwrap().0 >> 26, 0x21);
}

#[test]
fn system_error_is_passed_on_as_a_system_error() {
    let mut guest = linux();
    let syndrome = FakeCpu::syndrome();
    guest.exit(Reason::SystemError, syndrome);
    assert_eq!(fault_kinds(), [FaultKind::SystemError]);
    assert!(take_done().contains(&Done::SystemError));
    assert_eq!(guest.pc(), ENTRY);
}

/// Every way to fault.
const FAULTS: [fn(&mut Guest) -> Outcome; 5] = [
    |guest| guest.access(NOWHERE, access(Width::Word, 5)),
    |guest| guest.store(NOWHERE, Width::Word, 0),
    |guest| guest.fetch(NOWHERE, 0x07),
    |guest| guest.access(NOWHERE, 1 << 7 | 0x07),
    |guest| guest.exit(Reason::SystemError, FakeCpu::syndrome()),
];

#[test]
fn every_fault_stops_a_partition_whose_policy_is_stop() {
    for fault in FAULTS {
        let mut guest = with_policy(FaultPolicy::Stop);
        assert_eq!(fault(&mut guest), Outcome::Waiting);
        assert_eq!(
            guest.vcpu.partition.power.lock().lifecycle().name(),
            "stopped"
        );
        assert_eq!(exception(), None);
    }
}

#[test]
fn every_fault_restarts_a_partition_whose_policy_is_restart() {
    for fault in FAULTS {
        let mut guest = with_policy(FaultPolicy::Restart);
        guest.vcpu.context.x[7] = 7;
        assert_eq!(fault(&mut guest), Outcome::Resumed);
        assert_eq!((guest.pc(), guest.vcpu.context.x[7]), (ENTRY, 0));
        let power = guest.vcpu.partition.power.lock();
        assert_eq!((power.lifecycle().name(), power.restarts()), ("running", 1));
    }
}

#[test]
fn every_fault_ends_the_system_when_the_policy_says_so() {
    for fault in FAULTS {
        let mut guest = with_policy(FaultPolicy::StopSystem);
        let end = model::system::EndState::Halt;
        assert_eq!(fault(&mut guest), Outcome::Ended(end));
    }
}

#[test]
fn undefined_instruction_class_is_injected_and_is_no_fault_of_the_partition() {
    let mut guest = with_policy(FaultPolicy::Stop);
    // SVE access, which CPTR_EL2 traps.
    let syndrome = Syndrome {
        esr: 0x19 << 26 | 1 << 25,
        far: 0,
        hpfar: 0,
    };
    assert_eq!(guest.exit(Reason::Synchronous, syndrome), Outcome::Resumed);
    assert_eq!(exception(), Some((1 << 25, ENTRY, None)));
    assert_eq!(guest.vcpu.partition.faults(), 0);
}

// Counting.

#[test]
fn every_exit_is_counted_by_its_kind() {
    let mut guest = linux();
    guest.hvc([VERSION, 0, 0, 0]);
    guest.smc([VERSION, 0, 0, 0]);
    guest.smc([VERSION, 0, 0, 0]);
    guest.system_register([3, 0, 0, 4, 0], false);
    guest.load(FR, Width::Word);
    guest.access(NOWHERE, access(Width::Word, 5));
    guest.interrupt(0);
    // An SVE instruction.
    let undefined = Syndrome {
        esr: 0x19 << 26 | 1 << 25,
        far: 0,
        hpfar: 0,
    };
    guest.exit(Reason::Synchronous, undefined);
    crate::fake::script(|| advance(70));
    // WFI.
    let wait = Syndrome {
        esr: 1 << 26 | 1 << 25,
        far: 0,
        hpfar: 0,
    };
    guest.exit(Reason::Synchronous, wait);
    let counts = ExitKind::ALL.map(|kind| count(&guest, kind));
    assert_eq!(counts, [1, 1, 2, 1, 1, 1, 1, 1]);
    let wait = guest.vcpu.partition.cost(ExitKind::Wait);
    assert_eq!((wait.short, wait.total), (1, 0), "waiting is no cost");
}

#[test]
fn system_off_of_the_only_running_partition_leaves_the_other_one_alone() {
    let world = World::new();
    let mut linux = world.started(LINUX);
    let rt = world.started(RT);
    assert_eq!(linux.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
    assert_eq!(rt.vcpu.partition.power.lock().lifecycle().name(), "running");
}
