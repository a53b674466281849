//! The promise against the worst company: servers that wake whenever it hurts, with every tie decided against the one that is watched.

use embassy_time::Duration;
use proptest::prelude::*;

use super::{Server, need};

#[derive(Clone, Debug)]
struct Member {
    period: u64,
    budget: u64,
    priority: u8,
    phase: u64,
}

impl Member {
    fn server(&self) -> Server {
        let [period, budget] = [self.period, self.budget].map(Duration::from_ticks);
        Server::new(period, budget, self.priority).unwrap()
    }

    /// End of its period at a time.
    fn deadline(&self, now: u64) -> u64 {
        now + self.period - (now + self.phase) % self.period
    }
}

fn member() -> impl Strategy<Value = Member> {
    (1u64..30, 1u64..30, 0u8..3, 0u64..30).prop_map(|(period, part, priority, phase)| Member {
        period,
        budget: part.min(period),
        priority,
        phase,
    })
}

/// Runs all for some time on one physical CPU. The first member is always ready; the others are ready when `awake` says so. Returns
/// the least that the first one got in a whole period.
fn least_supply(members: &[Member], awake: impl Fn(usize, u64) -> bool) -> u64 {
    let mut left: Vec<u64> = members.iter().map(|one| one.budget).collect();
    let (mut least, mut got, mut whole_period) = (u64::MAX, 0, false);
    for now in 0..400u64 {
        for (index, one) in members.iter().enumerate() {
            if (now + one.phase).is_multiple_of(one.period) {
                left[index] = one.budget;
                if index == 0 {
                    if whole_period {
                        least = least.min(got);
                    }
                    (got, whole_period) = (0, true);
                }
            }
        }
        let ready = |index: &usize| left[*index] > 0 && (*index == 0 || awake(*index, now));
        let rank = |index: &usize| {
            let one = &members[*index];
            (one.priority, one.deadline(now), *index == 0)
        };
        if let Some(runs) = (0..members.len()).filter(ready).min_by_key(rank) {
            left[runs] -= 1;
            got += u64::from(runs == 0);
        }
    }
    least
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn admitted_server_gets_its_budget_in_each_period_whatever_the_others_do(
        members in prop::collection::vec(member(), 1..5),
        awake in prop::collection::vec(any::<bool>(), 1..60),
    ) {
        let servers: Vec<Server> = members.iter().map(Member::server).collect();
        prop_assume!(need(&servers[0], &servers[1..]).excess().is_none());
        let awake = |index: usize, now: u64| awake[(now as usize * 7 + index * 13) % awake.len()];
        prop_assert!(least_supply(&members, awake) >= members[0].budget);
    }
}

#[test]
fn refused_server_can_really_lose_time() {
    let watched = Member {
        period: 10,
        budget: 2,
        priority: 0,
        phase: 0,
    };
    // Its periods end 1 before those of the watched one, and it wakes 9 before that.
    let late = Member {
        period: 100,
        budget: 50,
        priority: 0,
        phase: 1,
    };
    assert!(need(&watched.server(), &[late.server()]).excess().is_some());
    let least = least_supply(&[watched, late], |_, now| now % 100 >= 90);
    assert_eq!(least, 1);
}
