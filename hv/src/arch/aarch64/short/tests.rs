//! Which exits are short, and that SGIs which travel without the lock are neither lost nor invented.

use gic::LrState;
use gic::virt::SgiRegister;

use model::device::{VirtualGic, Width};
use model::partition::Vcpu as VcpuConfig;
use model::{IntId, Ipa, Mpidr, PcpuId, VcpuId};

use super::super::controller::{Register, find};
use super::super::decode::Syndrome;
use super::gicv3::sole_target;
use super::*;
use crate::exit::Exit;
use crate::fake::{
    CPU_OFF, CPU_ON, DISTRIBUTOR, Done, ENTRY, Guest, LINUX, Outcome, PCPUS, REDISTRIBUTORS, RT,
    SYSTEM_RESET, UART, World, list_registers, take_done, type_in, use_interface,
};

const VERSION: u64 = 0x8400_0000;
const SGI1R: [u64; 5] = [3, 0, 12, 11, 5];
const SGI: u64 = 3;
const DATA_ABORT: u64 = 0x24;

/// Exits of a kind that were answered short, and all of that kind.
fn counted(guest: &Guest, kind: ExitKind) -> (u64, u64) {
    let cost = guest.vcpu.partition.cost(kind);
    (cost.short, cost.count())
}

/// Both virtual CPUs of `LINUX` with their SGIs let through.
fn both_with_sgis() -> (Guest, Guest) {
    let (mut first, mut second) = World::new().both();
    for guest in [&mut first, &mut second] {
        let frame = REDISTRIBUTORS + 0x2_0000 * u64::from(guest.vcpu.id.get());
        guest.store(DISTRIBUTOR, Width::Word, 1 << 1);
        guest.store(frame + 0x1_0100, Width::Word, 0xffff);
    }
    take_done();
    (first, second)
}

/// Both virtual CPUs of `LINUX` with a GICv2, and their SGIs let through.
fn both_with_gicv2() -> (Guest, Guest) {
    let gicv2 = VirtualGic::V2 {
        distributor: Ipa::new(DISTRIBUTOR),
        cpu_interface: Ipa::new(DISTRIBUTOR + 0x1_0000),
        emulated: false,
    };
    let (mut first, mut second) = World::with(|linux| linux.gic = gicv2).both();
    first.store(DISTRIBUTOR, Width::Word, 1);
    for guest in [&mut first, &mut second] {
        guest.store(DISTRIBUTOR + 0x100, Width::Word, 0xffff);
    }
    take_done();
    (first, second)
}

/// The guest sends the SGI of a GICv2 to the virtual CPUs in `targets`.
fn send_v2(guest: &mut Guest, targets: u64) {
    guest.store(DISTRIBUTOR + 0xf00, Width::Word, targets << 16 | SGI);
}

/// As [`handle`], with the source CPUs.
fn handle_with_source(pcpu: usize) -> Vec<(u32, u8)> {
    let sources = list_registers(pcpu)
        .into_iter()
        .map(|register| register.source);
    let sources: Vec<u8> = sources.collect();
    handle(pcpu).into_iter().zip(sources).collect()
}

/// The guest sends the SGI to virtual CPU `to`.
fn send(guest: &mut Guest, to: u8) {
    guest.vcpu.context.x[5] = SGI << 24 | 1 << to;
    assert_eq!(guest.system_register(SGI1R, true), Outcome::Resumed);
}

/// The guest on a pCPU takes and ends all that is in its list registers.
fn handle(pcpu: usize) -> Vec<u32> {
    let taken = list_registers(pcpu);
    use_interface(pcpu, |registers| {
        for register in registers {
            register.state = LrState::Empty;
        }
    });
    taken
        .iter()
        .map(|register| register.virtual_id.get())
        .collect()
}

#[test]
fn calls_with_constant_answers_are_short_by_hvc_and_by_smc() {
    let mut guest = World::new().started(LINUX);
    guest.hvc([VERSION, 0, 0, 0]);
    guest.hvc([0x8400_000a, VERSION, 0, 0]);
    let pc = guest.pc();
    guest.smc([VERSION, 0, 0, 0]);
    assert_eq!(guest.pc(), pc + 4);
    assert_eq!(guest.x0(), 0x1_0001);
    assert_eq!(counted(&guest, ExitKind::Hypercall), (2, 2));
    assert_eq!(counted(&guest, ExitKind::FirmwareCall), (1, 1));
}

#[test]
fn call_that_needs_state_is_not_short() {
    let mut guest = World::new().started(LINUX);
    guest.hvc([0xc400_0004, 0, 0, 0]);
    assert_eq!(counted(&guest, ExitKind::Hypercall), (0, 1));
}

#[test]
fn words_that_are_known_without_the_lock_are_short_loads() {
    let (mut guest, _) = both_with_sgis();
    let before = counted(&guest, ExitKind::Mmio);
    for (address, value) in [
        (DISTRIBUTOR + 4, 0x0348_0001),
        (DISTRIBUTOR + 0x104, 0),
        (REDISTRIBUTORS + 0x1_0100, 0xffff),
        (REDISTRIBUTORS + 0x3_0180, 0xffff),
        (UART + 0x18, 0x97),
    ] {
        assert_eq!(guest.load(address, Width::Word), value, "{address:#x}");
    }
    let after = counted(&guest, ExitKind::Mmio);
    assert_eq!((after.0 - before.0, after.1 - before.1), (5, 5));
}

#[test]
fn loads_of_other_widths_and_registers_and_all_stores_are_not_short() {
    let mut guest = World::new().started(LINUX);
    guest.load(DISTRIBUTOR + 4, Width::Byte);
    guest.load(UART + 0x18, Width::Half);
    guest.load(UART + 0x30, Width::Word);
    guest.load(DISTRIBUTOR + 0x204, Width::Word);
    guest.store(DISTRIBUTOR + 0x104, Width::Word, 0);
    assert_eq!(counted(&guest, ExitKind::Mmio), (0, 5));
}

#[test]
fn load_into_a_register_that_is_not_stored_is_not_short_and_gets_its_value() {
    let mut guest = World::new().started(LINUX);
    let into_x19 = 1 << 24 | 2 << 22 | 19 << 16 | 0x07;
    assert_eq!(guest.access(DISTRIBUTOR + 4, into_x19), Outcome::Resumed);
    assert_ne!(guest.vcpu.context.x[19], 0);
    assert_eq!(counted(&guest, ExitKind::Mmio), (0, 1));
}

#[test]
fn flag_register_hands_typed_bytes_over_before_it_says_that_there_are_none() {
    let mut guest = World::new().started(LINUX);
    type_in(b"a");
    guest.vcpu.hypervisor.serve_console();
    assert_eq!(guest.load(UART + 0x18, Width::Word) & 1 << 4, 0);
    assert_eq!(guest.load(UART, Width::Word), u64::from(b'a'));
    assert_eq!(guest.load(UART + 0x18, Width::Word) & 1 << 4, 1 << 4);
}

#[test]
fn every_width_and_direction_of_a_data_abort_but_a_word_load_fails_the_mask() {
    let load = DATA_ABORT << 26 | 1 << 25 | 1 << 24 | 2 << 22 | 0x07;
    assert_eq!(load & esr::LOAD_MASK, esr::LOAD);
    for bit in [6, 7, 8, 9, 10, 21, 22, 23, 24, 25, 26] {
        assert_ne!((load ^ 1 << bit) & esr::LOAD_MASK, esr::LOAD, "bit {bit}");
    }
    // Access flag, permission, external abort.
    for status in [0x09, 0x0d, 0x10] {
        assert_ne!((load & !0x3f | status) & esr::LOAD_MASK, esr::LOAD);
    }
}

#[test]
fn second_sgi_to_oneself_is_short_and_arrives() {
    let (mut first, _) = both_with_sgis();
    send(&mut first, 0);
    assert_eq!(handle(0), [3]);
    assert_eq!(counted(&first, ExitKind::SystemRegister), (0, 1));
    send(&mut first, 0);
    assert_eq!(handle(0), [3]);
    assert_eq!(counted(&first, ExitKind::SystemRegister), (1, 2));
}

#[test]
fn sgi_to_oneself_that_is_still_pending_comes_once() {
    let (mut first, _) = both_with_sgis();
    for _ in 0..3 {
        send(&mut first, 0);
    }
    assert_eq!(handle(0), [3]);
    assert_eq!(handle(0), []);
}

#[test]
fn sgi_to_another_cpu_is_short_and_kicks_it_and_arrives_once_however_often_it_was_sent() {
    let (mut first, mut second) = both_with_sgis();
    send(&mut first, 1);
    send(&mut first, 1);
    assert_eq!(take_done(), [Done::Kick(PCPUS[1]); 2]);
    assert_eq!(counted(&first, ExitKind::SystemRegister), (2, 2));
    second.pending_interrupt();
    second.pending_interrupt();
    assert_eq!(handle(1), [3]);
    assert_eq!(handle(1), []);
}

#[test]
fn sgi_that_was_disabled_again_by_its_receiver_waits_until_it_is_enabled() {
    let (mut first, mut second) = both_with_sgis();
    let frame = REDISTRIBUTORS + 0x3_0000;
    send(&mut first, 1);
    second.store(frame + 0x180, Width::Word, 1 << SGI);
    second.pending_interrupt();
    assert_eq!(handle(1), []);
    second.store(frame + 0x100, Width::Word, 1 << SGI);
    assert_eq!(handle(1), [3]);
}

#[test]
fn sgi_under_way_is_pending_in_the_receivers_redistributor_and_can_be_cleared_there() {
    let (mut first, mut second) = both_with_sgis();
    let frame = REDISTRIBUTORS + 0x3_0000;
    send(&mut first, 1);
    assert_eq!(first.load(frame + 0x200, Width::Word), 1 << SGI);
    first.store(frame + 0x280, Width::Word, 1 << SGI);
    second.pending_interrupt();
    assert_eq!(handle(1), []);
}

#[test]
fn sgi_to_a_cpu_that_is_off_is_there_when_it_comes_up() {
    let (mut first, mut second) = both_with_sgis();
    assert_eq!(second.hvc([CPU_OFF, 0, 0, 0]), Outcome::Waiting);
    send(&mut first, 1);
    first.hvc([CPU_ON, 1, ENTRY, 0]);
    assert_eq!(second.bring_up(), Outcome::Resumed);
    assert_eq!(handle(1), [3]);
}

#[test]
fn sgi_under_way_does_not_survive_a_reset_of_the_partition() {
    let (mut first, mut second) = both_with_sgis();
    send(&mut first, 1);
    assert_eq!(second.hvc([SYSTEM_RESET, 0, 0, 0]), Outcome::Waiting);
    assert_eq!(first.pending_interrupt(), Outcome::Resumed);
    for guest in [&mut first, &mut second] {
        assert_eq!(guest.vcpu.shared.take_sgis(), 0);
    }
    let frame = REDISTRIBUTORS + 0x3_0000;
    assert_eq!(first.load(frame + 0x200, Width::Word), 0);
}

#[test]
fn gicv2_sgi_to_oneself_is_short_the_second_time_and_shows_its_source() {
    let (_, mut second) = both_with_gicv2();
    for short in [0, 1] {
        send_v2(&mut second, 1 << 1);
        assert_eq!(handle_with_source(1), [(3, 1)]);
        assert_eq!(counted(&second, ExitKind::Mmio).0, short);
    }
}

#[test]
fn gicv2_sgi_to_another_cpu_is_short_and_comes_once_for_each_source() {
    let (mut first, mut second) = both_with_gicv2();
    send_v2(&mut first, 1 << 1);
    send_v2(&mut first, 1 << 1);
    assert_eq!(take_done(), [Done::Kick(PCPUS[1]); 2]);
    assert_eq!(counted(&first, ExitKind::Mmio).0, 2);
    send_v2(&mut second, 1 << 1);
    second.pending_interrupt();
    assert_eq!(handle_with_source(1), [(3, 0)]);
    second.store(DISTRIBUTOR, Width::Word, 3);
    second.pending_interrupt();
    let rest = handle_with_source(1);
    assert!(rest.is_empty() || rest == [(3, 1)], "{rest:?}");
}

#[test]
fn gicv2_sgi_under_way_shows_its_source_in_the_receivers_spendsgir_and_is_cleared_by_cpendsgir() {
    let (mut first, mut second) = both_with_gicv2();
    send_v2(&mut first, 1 << 1);
    assert_eq!(second.load(DISTRIBUTOR + 0xf20 + SGI, Width::Byte), 1);
    second.store(DISTRIBUTOR + 0xf10 + SGI, Width::Byte, 1);
    second.pending_interrupt();
    assert_eq!(handle_with_source(1), []);
}

#[test]
fn gicv2_sgi_to_a_cpu_that_is_off_is_there_with_its_source_when_it_comes_up() {
    let (mut first, mut second) = both_with_gicv2();
    assert_eq!(second.hvc([CPU_OFF, 0, 0, 0]), Outcome::Waiting);
    send_v2(&mut first, 1 << 1);
    first.hvc([CPU_ON, 1, ENTRY, 0]);
    assert_eq!(second.bring_up(), Outcome::Resumed);
    assert_eq!(handle_with_source(1), [(3, 0)]);
}

#[test]
fn gicv2_sgi_under_way_does_not_survive_a_reset_of_the_partition() {
    let (mut first, mut second) = both_with_gicv2();
    send_v2(&mut first, 1 << 1);
    assert_eq!(second.hvc([SYSTEM_RESET, 0, 0, 0]), Outcome::Waiting);
    assert_eq!(first.pending_interrupt(), Outcome::Resumed);
    assert_eq!(second.vcpu.shared.take_sgis(), 0);
    assert_eq!(second.vcpu.shared.take_sources(IntId::new(3)), 0);
}

#[test]
fn gicv2_sgi_to_several_to_nobody_or_to_all_others_is_left_to_the_full_path() {
    let (mut first, _) = both_with_gicv2();
    for value in [0b11 << 16, 0, 1 << 24, 3 << 24, 1 << 18] {
        first.store(DISTRIBUTOR + 0xf00, Width::Word, value | SGI);
    }
    assert_eq!(counted(&first, ExitKind::Mmio).0, 0);
}

#[test]
fn sgi_register_with_a_gicv2_is_left_and_undefined_whomever_it_names() {
    let mut guest = World::new().started(RT);
    guest.vcpu.context.x[5] = SGI << 24 | 1;
    guest.system_register(SGI1R, true);
    let exception = |done: &Done| matches!(done, Done::Exception { .. });
    assert!(take_done().iter().any(exception));
    assert_eq!(counted(&guest, ExitKind::SystemRegister).0, 0);
}

fn vcpus(affinities: &[u64]) -> Vec<VcpuConfig> {
    affinities
        .iter()
        .map(|affinity| VcpuConfig {
            pcpu: PcpuId::new(0),
            mpidr: Mpidr::new(*affinity),
            time: model::time::TimeShare::Always,
        })
        .collect()
}

#[test]
fn sole_target_is_found_by_its_whole_affinity() {
    let list = vcpus(&[0, 1, 2]);
    assert_eq!(sole_target(&list, 1 << 24 | 1 << 2), Some(VcpuId::new(2)));
    for elsewhere in [1 << 16, 1 << 32, 1 << 48, 1 << 44, 1 << 40] {
        assert_eq!(sole_target(&list, elsewhere | 1 << 2), None);
    }
}

#[test]
fn several_targets_none_and_absent_ones_are_left_to_the_full_path() {
    let list = vcpus(&[0, 1, 2]);
    for value in [0, 0b11, 1 << 3, 0xffff] {
        assert_eq!(sole_target(&list, value), None);
    }
}

#[test]
fn virtual_cpu_whose_affinity_is_not_its_number_is_left_to_the_full_path() {
    assert_eq!(sole_target(&vcpus(&[0, 0x100]), 1 << 1), None);
    assert_eq!(sole_target(&vcpus(&[0, 0x100]), 1 << 16 | 1), None);
}

#[test]
fn registers_that_a_called_function_must_keep_are_not_stored() {
    assert!((0..=18).chain([30, 31]).all(is_stored));
    assert!(!(19..=29).any(is_stored));
}

#[test]
fn syndrome_of_a_write_to_sgi1r_is_decoded_as_one() {
    let syndrome = Syndrome {
        esr: super::gicv3::SGI1R,
        far: 0,
        hpfar: 0,
    };
    let Exit::SystemRegister(transfer) = syndrome.exit() else {
        panic!("{:?}", syndrome.exit());
    };
    let sends = Some(Register::SendSgi(SgiRegister::Sgi1r));
    assert_eq!(find(transfer.encoding, transfer.write), sends);
}
