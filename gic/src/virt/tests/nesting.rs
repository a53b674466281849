//! Random nests of interrupts, deeper than list registers reach, ended in both ways, and rarely looked at: a look at the active state reads the list
//! registers back and hides what was lost between two.

use super::*;
use proptest::prelude::*;

/// The first of the interrupts; the higher the number the more urgent.
const FIRST: u32 = 64;
/// Fewer than there are SPIs.
const COUNT: u32 = 20;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Makes an interrupt pending that is neither pending nor active.
    Pend(u8),
    /// Nests: the least urgent of those that preempt what runs comes and is acknowledged.
    Nest,
    Acknowledge,
    /// Ends what was acknowledged last.
    End,
    /// Deactivates one of those whose priority was dropped.
    Deactivate(u8),
    Look,
    /// The virtual CPU's list registers are read back and loaded again.
    Recall,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => any::<u8>().prop_map(Step::Pend),
        1 => Just(Step::Acknowledge),
        8 => Just(Step::Nest),
        5 => Just(Step::End),
        3 => any::<u8>().prop_map(Step::Deactivate),
        1 => Just(Step::Look),
        1 => Just(Step::Recall),
    ]
}

/// What the guest knows: sets, bit n for the interrupt n.
struct Guest {
    machine: Machine,
    split: bool,
    pending: u32,
    running: u32,
    active: u32,
}

/// One of a set.
fn pick(set: u32, draw: u8) -> Option<u32> {
    let wanted = u32::from(draw) % set.count_ones().max(1);
    (0..COUNT)
        .filter(|number| set >> number & 1 != 0)
        .nth(wanted as usize)
}

impl Guest {
    fn new(version: Version, registers: usize, split: bool) -> Self {
        let mut machine = Machine::started_with(version, 1, registers);
        machine.interface(0).split.set(split);
        for number in 0..COUNT {
            let (place, priority) = (0x400 + FIRST + number, 0xf0 - 8 * u64::from(number));
            machine.write(0, Frame::Distributor, place, Width::Byte, priority);
        }
        Self {
            machine,
            split,
            pending: 0,
            running: 0,
            active: 0,
        }
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Pend(draw) => {
                let Some(number) = pick(!self.pending & !self.active, draw) else {
                    return;
                };
                self.machine.set(0, 0x200 + FIRST / 8, 1 << number);
                self.pending |= 1 << number;
            }
            Step::Nest => {
                let above = u32::BITS - self.running.leading_zeros();
                let free = !self.pending & !self.active & (u32::MAX << above);
                if let Some(number) = pick(free, 0) {
                    self.machine.set(0, 0x200 + FIRST / 8, 1 << number);
                    self.pending |= 1 << number;
                    self.perform(Step::Acknowledge);
                }
            }
            Step::Acknowledge => {
                let next = self.pending.checked_ilog2();
                let next = next.filter(|next| self.running >> next == 0);
                let expected = next.map(|number| IntId::new(FIRST + number));
                assert_eq!(self.machine.acknowledge(0), expected);
                let bit = next.map_or(0, |number| 1 << number);
                self.pending &= !bit;
                self.running |= bit;
                self.active |= bit;
            }
            Step::End => {
                let Some(number) = self.running.checked_ilog2() else {
                    return;
                };
                self.machine.end(0);
                self.running &= !(1 << number);
                if !self.split {
                    self.active &= !(1 << number);
                }
            }
            Step::Deactivate(draw) => {
                let Some(number) = pick(self.active & !self.running, draw) else {
                    return;
                };
                self.machine.deactivate(0, IntId::new(FIRST + number));
                self.active &= !(1 << number);
            }
            Step::Look => {
                assert_eq!(
                    self.machine.get(0, 0x300 + FIRST / 8),
                    self.active,
                    "active"
                );
                assert_eq!(
                    self.machine.get(0, 0x200 + FIRST / 8),
                    self.pending,
                    "pending"
                );
            }
            Step::Recall => {
                let kicks = self.machine.act(0, |vgic, caller| vgic.maintain(caller));
                self.machine.kick(kicks);
            }
        }
    }

    /// Ends everything, and handles what still waits.
    fn finish(&mut self) {
        while self.running | self.pending | self.active != 0 {
            self.perform(Step::End);
            self.perform(Step::Deactivate(0));
            if self.running == 0 {
                self.perform(Step::Acknowledge);
            }
        }
        self.perform(Step::Look);
        let announced = self.machine.interface(0).announced.get();
        assert_eq!(announced, Announce::NOTHING);
    }
}

proptest! {
    #[test]
    fn nested_interrupts_beyond_the_list_registers_are_active_from_acknowledgement_to_end(
        steps in proptest::collection::vec(step(), 1..200),
        registers in 2..5_usize,
        second: bool,
        split: bool,
    ) {
        let version = if second { Version::V2 } else { Version::V3 };
        let mut guest = Guest::new(version, registers, split);
        for step in steps {
            guest.perform(step);
        }
        guest.finish();
    }
}
