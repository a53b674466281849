//! What admission promises, by simulation: an admitted virtual CPU that is always awake gets its budget in each of its periods, whatever
//! the others do, with timers that fire late and switches that take time.

use proptest::prelude::*;

use super::*;
use crate::Rtds;
use crate::admission::global::need_on;
use crate::admission::{Server, need};
use crate::sim::{Blackout, Costs, Simulation, busy, sleeper};

#[derive(Clone, Debug)]
struct Member {
    period: u64,
    budget: u64,
    priority: u8,
    extra_time: bool,
    times: Vec<(Duration, Duration)>,
}

impl Member {
    fn server(&self, costs: Costs) -> Server {
        let [period, budget] = [self.period, self.budget].map(Duration::from_ticks);
        let server = Server::new(period, budget, self.priority).unwrap();
        server.with_switch_cost(costs.latency + costs.switch)
    }

    fn parameters(&self) -> Parameters {
        let [period, budget] = [self.period, self.budget].map(Duration::from_ticks);
        Parameters {
            reservation: Reservation::new(period, budget).unwrap(),
            priority: self.priority,
            extra_time: self.extra_time,
            ..parameters(1, 1)
        }
    }
}

fn member() -> impl Strategy<Value = Member> {
    let ticks = |range| Strategy::prop_map(range, Duration::from_ticks);
    let times = prop::collection::vec((ticks(0u64..200), ticks(1u64..60)), 1..6);
    (10u64..100, 1u64..60, 0u8..3, any::<bool>(), times).prop_map(
        |(period, part, priority, extra_time, times)| Member {
            period,
            budget: part.min(period),
            priority,
            extra_time,
            times,
        },
    )
}

fn costs() -> impl Strategy<Value = Costs> {
    (0u64..3, 0u64..3).prop_map(|(latency, switch)| Costs {
        latency: Duration::from_ticks(latency),
        switch: Duration::from_ticks(switch),
    })
}

/// Runs the first member without sleep and the others with. Returns the least that the first one was charged in a whole period, and
/// its longest time awake without running.
fn simulate<const PCPUS: usize>(members: &[Member], costs: Costs) -> (Option<Duration>, Duration) {
    let mut simulation = Simulation::new(Rtds::<6, PCPUS>::new(ms(0)), ms(0), costs);
    for (index, member) in members.iter().enumerate() {
        if index == 0 {
            simulation.add(member.parameters(), busy(ms(0))).unwrap();
        } else {
            simulation
                .add(member.parameters(), sleeper(&member.times))
                .unwrap();
        }
    }
    let mut blackout = Blackout::new(v(0));
    simulation.run_until(Instant::from_ticks(3000), &mut blackout);
    let counters = simulation.policy().counters(v(0)).unwrap();
    (counters.least_supply(), blackout.longest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn admitted_one_on_one_cpu_gets_its_budget(members in prop::collection::vec(member(), 1..6), costs in costs()) {
        let servers: Vec<Server> = members.iter().map(|member| member.server(costs)).collect();
        prop_assume!(need(&servers[0], &servers[1..]).excess().is_none());
        prop_assume!(members[0].budget > costs.switch.as_ticks());

        let (least, blackout) = simulate::<1>(&members, costs);

        let watched = &members[0];
        prop_assert!(least.unwrap().as_ticks() >= watched.budget);
        // Twice what is left of a period, and the switch to it, which it pays.
        let longest = 2 * (watched.period - watched.budget) + costs.switch.as_ticks();
        prop_assert!(blackout.as_ticks() <= longest, "{} > {longest}", blackout.as_ticks());
    }

    #[test]
    fn admitted_one_on_two_cpus_gets_its_budget(members in prop::collection::vec(member(), 1..6)) {
        let costs = Costs::default();
        let servers: Vec<Server> = members.iter().map(|member| member.server(costs)).collect();
        prop_assume!(need_on(&servers[0], &servers[1..], 2).excess().is_none());
        let (least, _) = simulate::<2>(&members, costs);
        prop_assert!(least.unwrap().as_ticks() >= members[0].budget);
    }
}
