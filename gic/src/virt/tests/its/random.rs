//! Hostile guests: any words as commands, in any order with anything else. The fake physical ITS asserts that nothing but the partition's own
//! devices, LPIs and collections are ever named to it.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// A command of numbers that may exist.
    Command {
        number: u8,
        device: u32,
        event: u32,
        lpi: u32,
        collection: u16,
        target: u8,
        valid: bool,
    },
    /// Any doublewords.
    Words([u64; 4]),
    /// Any access to the ITS.
    Its {
        offset: u32,
        value: u64,
        wide: bool,
    },
    /// Any access to a redistributor's LPI registers.
    Redistributor {
        cpu: u8,
        offset: u32,
        value: u64,
    },
    /// A byte of the configuration table.
    Properties {
        lpi: u32,
        byte: u8,
    },
    Message {
        device: u32,
        event: u16,
    },
    /// Any physical LPI, as a stale one would come.
    Stray {
        lpi: u32,
        cpu: u8,
    },
    Acknowledge(u8),
    End(u8),
    Restart,
}

fn device() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0x18..0x1c_u32, 1 => any::<u32>()]
}

fn step() -> impl Strategy<Value = Step> {
    let event = || prop_oneof![8 => 0..6_u32, 1 => any::<u32>()];
    let lpi = || prop_oneof![8 => 8192..8198_u32, 1 => any::<u32>()];
    let collection = prop_oneof![8 => 0..4_u16, 1 => any::<u16>()];
    let command = (
        1..16_u8,
        device(),
        event(),
        lpi(),
        collection,
        0..4_u8,
        any::<bool>(),
    );
    let offsets = prop_oneof![
        Just(0),
        Just(0x80),
        Just(0x88),
        Just(0x90),
        Just(0x100),
        0..0x2_0008_u32
    ];
    prop_oneof![
        20 => command.prop_map(|(number, device, event, lpi, collection, target, valid)| {
            Step::Command { number, device, event, lpi, collection, target, valid }
        }),
        1 => any::<[u64; 4]>().prop_map(Step::Words),
        1 => (offsets, any::<u64>(), any::<bool>())
            .prop_map(|(offset, value, wide)| Step::Its { offset, value, wide }),
        1 => (0..2_u8, prop_oneof![Just(0), Just(0x70), Just(0x78)], any::<u64>())
            .prop_map(|(cpu, offset, value)| Step::Redistributor { cpu, offset, value }),
        4 => (0..6_u32, any::<u8>()).prop_map(|(lpi, byte)| Step::Properties { lpi, byte }),
        8 => (device(), 0..6_u16).prop_map(|(device, event)| Step::Message { device, event }),
        1 => (0..9000_u32, 0..2_u8).prop_map(|(lpi, cpu)| Step::Stray { lpi, cpu }),
        4 => (0..2_u8).prop_map(Step::Acknowledge),
        4 => (0..2_u8).prop_map(Step::End),
        1 => Just(Step::Restart),
    ]
}

fn perform(bench: &mut Bench, step: Step) {
    match step {
        Step::Command {
            number,
            device,
            event,
            lpi,
            collection,
            target,
            valid,
        } => {
            let words = [
                u64::from(number) | u64::from(device) << 32,
                u64::from(event) | u64::from(lpi) << 32,
                u64::from(collection) | u64::from(target) << 16 | u64::from(valid) << 63,
                u64::from(target) << 16,
            ];
            submit(bench, words);
        }
        Step::Words(words) => submit(bench, words),
        Step::Its {
            offset,
            value,
            wide,
        } => {
            let width = if wide { Width::Double } else { Width::Word };
            let _ = bench.machine.vgic.read_its(offset, width);
            bench.machine.vgic.write_its(offset, width, value);
            bench.run();
        }
        Step::Redistributor { cpu, offset, value } => bench.gicr(cpu, offset, Width::Word, value),
        Step::Properties { lpi, byte } => bench.set_properties(lpi, byte),
        Step::Message { device, event } => {
            bench.signal(device, event);
        }
        Step::Stray { lpi, cpu } => bench.arrive(IntId::new(lpi), cpu),
        Step::Acknowledge(cpu) => {
            bench.machine.interfaces[usize::from(cpu)].acknowledge();
        }
        Step::End(cpu) => {
            bench.machine.interfaces[usize::from(cpu)].end();
        }
        Step::Restart => {
            for interface in &bench.machine.interfaces {
                interface.reset();
            }
            bench.machine.vgic.reset(&bench.machine.physical);
            bench.machine.set(0, 0, 3);
            bench.set_up();
        }
    }
}

fn submit(bench: &mut Bench, words: [u64; 4]) {
    let place = bench.queue(&[words]);
    bench.write(0x88, place);
}

fn check(bench: &Bench) {
    let mut seen = BTreeSet::new();
    for cpu in 0..2 {
        for register in bench.held(cpu) {
            let lpi = register.virtual_id;
            assert!((8192..8192 + 256).contains(&lpi.get()), "{lpi:?}");
            assert!(seen.insert(lpi), "{lpi:?} is in two list registers");
            assert_eq!(register.hardware, None);
        }
    }
    for ((device, event), (physical, _)) in bench.machine.physical.messages.events.borrow().iter() {
        let lpi = bench.machine.vgic.lpi(*physical);
        assert!(
            lpi.is_some(),
            "{device:#x}/{event} is mapped in hardware only"
        );
    }
}

proptest! {
    #[test]
    fn hostile_commands_reach_nothing_foreign_and_leave_the_its_sound(
        steps in proptest::collection::vec(step(), 1..200)
    ) {
        let mut bench = Bench::ready(2);
        for step in steps {
            perform(&mut bench, step);
            check(&bench);
        }
        // A guest that starts anew finds it as it should be.
        perform(&mut bench, Step::Restart);
        bench.map(0, 0, 1);
        prop_assert_eq!(bench.signal(DEVICE, 0), Some(1));
        prop_assert_eq!(bench.machine.interfaces[1].state(LPI), LrState::Pending);
    }
}
