//! What always holds, checked from inside after each of many random events.

use std::collections::BTreeSet;

use embassy_time::Duration;
use proptest::prelude::*;

use super::*;

const VCPUS: usize = 7;
const PCPUS: usize = 3;
type Pool = Rtds<VCPUS, PCPUS, 7>;

impl Pool {
    fn all(&self) -> impl Iterator<Item = (VcpuIndex, &Vcpu)> {
        let numbered = self.vcpus.iter().take(self.count).enumerate();
        numbered.map(|(index, vcpu)| (VcpuIndex::new(index as u16), vcpu))
    }

    fn check(&self) {
        for (index, vcpu) in self.all() {
            let account = &vcpu.account;
            let budget = account.parameters.reservation.budget().as_ticks();
            assert!(account.left <= budget, "more is left than a budget");
            let runnable = account.awake && account.left > 0;
            assert_eq!(runnable, vcpu.place != Place::Nowhere, "{index:?}");
            let queued = self.lanes[vcpu.lane].waiting.key(index);
            assert_eq!(queued.is_some(), vcpu.place == Place::Waiting);
            let others = self
                .lanes
                .iter()
                .enumerate()
                .filter(|(lane, _)| *lane != vcpu.lane);
            for (_, other) in others {
                assert_eq!(other.waiting.key(index), None, "in two queues");
            }
            if let Some(queued) = queued {
                let now = self.key(index);
                assert_eq!((queued.level, queued.deadline), (now.level, now.deadline));
            }
            if account.awake {
                assert!(account.deadline > self.now, "a replenishment is due");
            }
            let awaited = self.replenishments.key(index).map(|key| key.at.as_ticks());
            assert_eq!(awaited, account.awake.then_some(account.deadline));
            let chosen = (0..PCPUS).filter(|pcpu| self.pcpus[*pcpu].chosen == Some(index));
            let chosen: Vec<usize> = chosen.collect();
            match vcpu.place {
                Place::Chosen(pcpu) => assert_eq!(chosen, [pcpu.get()]),
                _ => assert!(chosen.is_empty()),
            }
            let held = (0..PCPUS).filter(|pcpu| self.pcpus[*pcpu].held == Some(index));
            let held: Vec<usize> = held.collect();
            assert_eq!(
                held,
                account
                    .held
                    .map(PcpuIndex::get)
                    .into_iter()
                    .collect::<Vec<_>>()
            );
        }
        for pcpu in &self.pcpus {
            let runs = pcpu.held.filter(|held| pcpu.chosen == Some(*held));
            assert!(
                runs.is_none() || pcpu.payer == runs,
                "one runs and does not pay"
            );
        }
        self.check_ranks();
    }

    /// Nobody waits who may run on an idle CPU, or outranks one who runs where it may run.
    fn check_ranks(&self) {
        for (index, vcpu) in self.all() {
            let affinity = self.lanes[vcpu.lane].affinity;
            if let Place::Chosen(pcpu) = vcpu.place {
                assert!(affinity.contains(pcpu), "runs where it may not");
            }
            if vcpu.place != Place::Waiting {
                continue;
            }
            for pcpu in affinity.iter() {
                let chosen = self.pcpu(pcpu).chosen.expect("a CPU idles while one waits");
                assert!(
                    !self.key(index).outranks(&self.key(chosen)),
                    "waits behind a lower rank"
                );
            }
        }
    }
}

/// The other side of the protocol: what each CPU has been told and has loaded.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    told: Actions,
    loaded: Option<VcpuIndex>,
    kicked: bool,
}

fn any_parameters() -> impl Strategy<Value = Parameters> {
    (1u64..20, 1u64..20, 0u8..2, any::<bool>(), 1u8..8).prop_map(
        |(period, part, priority, extra_time, mask)| {
            let [period, budget] = [period, part.min(period)].map(Duration::from_ticks);
            let cpus = (0..3).filter(|cpu| mask & (1 << cpu) != 0);
            Parameters {
                reservation: Reservation::new(period, budget).unwrap(),
                priority,
                extra_time,
                affinity: cpus.fold(PcpuSet::EMPTY, |set, cpu| set.with(PcpuIndex::new(cpu))),
            }
        },
    )
}

/// Time that passes, a CPU, what happens there, and to whom.
fn any_step() -> impl Strategy<Value = (u64, u8, u8, u16)> {
    (
        prop_oneof![4 => 0u64..4, 1 => 0u64..60],
        0u8..3,
        0u8..8,
        0u16..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_after_every_event(
        members in prop::collection::vec(any_parameters(), 1..=VCPUS),
        steps in prop::collection::vec(any_step(), 1..150),
    ) {
        let mut pool = Pool::new(Instant::from_ticks(0));
        for parameters in members {
            pool.add(parameters).unwrap();
        }
        let mut cpus = [Cpu::default(); PCPUS];
        let mut now = 0;
        for (passes, here, what, vcpu) in steps {
            now += passes;
            let vcpu = VcpuIndex::new(vcpu);
            let cpu = &mut cpus[usize::from(here)];
            let event = match what {
                0 | 1 => Event::Wake(vcpu),
                2 => Event::Block(vcpu),
                3 => cpu.loaded.map_or(Event::Look, Event::Block),
                4 | 5 if cpu.told.run != cpu.loaded => Event::Saved,
                _ => Event::Look,
            };

            let actions = pool.on(Instant::from_ticks(now), PcpuIndex::new(here), event);

            pool.check();
            cpu.told = actions;
            cpu.kicked = false;
            if event == Event::Saved {
                cpu.loaded = actions.run;
            }
            for other in actions.kick.iter() {
                cpus[other.get()].kicked = true;
            }
            let loaded: Vec<VcpuIndex> = cpus.iter().filter_map(|cpu| cpu.loaded).collect();
            let distinct: BTreeSet<VcpuIndex> = loaded.iter().copied().collect();
            prop_assert_eq!(loaded.len(), distinct.len(), "one runs twice");
            // Whoever was not kicked knows what it must know.
            for (index, cpu) in cpus.iter().enumerate().filter(|(_, cpu)| !cpu.kicked) {
                let index = PcpuIndex::new(index as u8);
                prop_assert_eq!(cpu.told.run, pool.ready(index));
                let needed = pool.timer(index).unwrap_or(u64::MAX);
                let armed = cpu.told.timer.map_or(u64::MAX, |timer| timer.as_ticks());
                prop_assert!(armed <= needed, "its timer is late");
            }
            let earliest = pool.all().filter(|(_, vcpu)| vcpu.account.awake).map(|(_, vcpu)| vcpu.account.deadline).min();
            prop_assert!(pool.timer(PcpuIndex::new(0)).unwrap_or(u64::MAX) <= earliest.unwrap_or(u64::MAX));
        }
    }
}
