//! Tests for pools whose virtual CPUs may move between physical ones.

use embassy_time::Duration;

use super::server::{Need, Server, need};

/// The test of Goossens, Funk and Baruah for the earliest deadline first on `pcpus` physical CPUs: the utilisations together are at most
/// `pcpus − (pcpus − 1) · largest`, in millionths ("Priority-driven scheduling of periodic task systems on multiprocessors", Real-Time
/// Systems 25, 2003).
///
/// It holds for tasks that are released at least a period apart. A deferrable server that sleeps and wakes is none, so admission asks
/// [`need_on`] instead; this one is here to compare with.
pub fn utilisations_fit(ppm: &[u64], pcpus: u64) -> bool {
    const ONE: u64 = 1_000_000;
    let total = ppm.iter().fold(0, |sum: u64, one| sum.saturating_add(*one));
    let largest = ppm.iter().max().copied().unwrap_or(0);
    let rest = pcpus.saturating_sub(1).saturating_mul(largest);
    total.saturating_add(rest) <= pcpus.saturating_mul(ONE) && largest <= ONE
}

/// What `server` needs where it may run on any of `pcpus` physical CPUs, beside all `others` that may run on one of these.
///
/// While it waits for its budget, each of these CPUs runs one that is before it; so if it misses some of its budget, each was taken for
/// longer than `period − budget`. One of the others is on one CPU at a time, and so takes no more of that than the same time, nor more
/// than it can take at all. (The argument of Bertogna, Cirinei and Lipari, "Improved schedulability analysis of EDF on multiprocessor
/// platforms", ECRTS 2005; the bounds on what one takes are those of a deferrable server, which assume nothing about the others.)
///
/// `others` in the answer is what they take of each of the CPUs; on one CPU it is what [`need`] says.
pub fn need_on<'a>(
    server: &Server,
    others: impl IntoIterator<Item = &'a Server>,
    pcpus: u64,
) -> Need {
    if pcpus <= 1 {
        return need(server, others);
    }
    let own = server.among_others();
    let used = own.own.as_ticks().saturating_add(own.switching.as_ticks());
    let slack = own.period.as_ticks().saturating_sub(used);
    // Longer than the slack by one tick: that is what a miss would take.
    let enough = slack.saturating_add(1);
    let taken = others
        .into_iter()
        .map(|other| server.loses_to(other).as_ticks().min(enough));
    let taken = taken.fold(0, u64::saturating_add);
    Need {
        others: Duration::from_ticks(taken / pcpus),
        ..own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn server(period: u64, budget: u64, priority: u8) -> Server {
        Server::new(ms(period), ms(budget), priority).unwrap()
    }

    #[test]
    fn utilisations_are_limited_by_the_largest() {
        assert!(utilisations_fit(&[500_000; 5], 4));
        assert!(!utilisations_fit(&[500_000; 6], 4));
        assert!(utilisations_fit(&[1_000_000], 1));
        assert!(!utilisations_fit(&[1_000_001], 2));
        assert!(utilisations_fit(&[], 0));
    }

    #[test]
    fn one_that_takes_all_its_time_leaves_the_other_cpus_free() {
        let (watched, hog) = (server(10, 2, 1), server(10, 10, 0));
        assert_eq!(need_on(&watched, [&hog], 2).excess(), None);
        assert!(need_on(&watched, [&hog, &hog], 2).excess().is_some());
        assert_eq!(need_on(&watched, [&hog, &hog], 3).excess(), None);
    }

    #[test]
    fn on_one_cpu_it_is_the_test_of_one_cpu() {
        let (watched, late) = (server(10, 2, 0), server(100, 50, 0));
        assert_eq!(need_on(&watched, [&late], 1), need(&watched, [&late]));
        assert_eq!(need_on(&watched, [&late], 2).excess(), None);
    }
}
