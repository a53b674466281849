//! What a shell sees: one step after the other.

use super::*;
use crate::{Actions, AddError, Event, Rtds};

fn runs(vcpu: u16, timer: u64) -> Actions {
    Actions {
        run: Some(v(vcpu)),
        timer: Some(ms(timer)),
        kick: PcpuSet::EMPTY,
    }
}

#[test]
fn budget_ends_at_its_instant_and_comes_back_at_the_deadline() {
    let mut pool = Rtds::<1, 1>::new(ms(0));
    pool.add(parameters(10, 4)).unwrap();

    assert_eq!(pool.on(ms(1), p(0), Event::Wake(v(0))), runs(0, 5));
    assert_eq!(pool.on(ms(2), p(0), Event::Saved), runs(0, 5));
    let depleted = Actions {
        run: None,
        timer: Some(ms(10)),
        kick: PcpuSet::EMPTY,
    };
    assert_eq!(pool.on(ms(5), p(0), Event::Look), depleted);
    assert_eq!(pool.on(ms(5), p(0), Event::Saved), depleted);
    assert_eq!(pool.on(ms(10), p(0), Event::Look), runs(0, 14));
    assert_eq!(pool.on(ms(10), p(0), Event::Saved), runs(0, 14));
}

#[test]
fn earlier_deadline_preempts_and_the_other_goes_on_after_it() {
    let mut pool = Rtds::<2, 1>::new(ms(0));
    pool.add(parameters(100, 50)).unwrap();
    pool.add(parameters(10, 2)).unwrap();
    pool.on(ms(0), p(0), Event::Wake(v(0)));
    assert_eq!(pool.on(ms(0), p(0), Event::Saved), runs(0, 50));

    assert_eq!(pool.on(ms(3), p(0), Event::Wake(v(1))), runs(1, 5));
    assert_eq!(pool.on(ms(3), p(0), Event::Saved), runs(1, 5));
    assert_eq!(pool.on(ms(5), p(0), Event::Look).run, Some(v(0)));
    assert_eq!(pool.on(ms(5), p(0), Event::Saved), runs(0, 10));
    assert_eq!(pool.counters(v(0)).unwrap().preemptions, 1);
    assert_eq!(pool.counters(v(1)).unwrap().depletions, 1);
}

#[test]
fn one_that_moves_is_not_given_away_before_it_is_saved() {
    let mut pool = Rtds::<2, 2, 2>::new(ms(0));
    pool.add(parameters(100, 50)).unwrap();
    let pinned = Parameters {
        affinity: PcpuSet::first(1),
        ..parameters(10, 2)
    };
    pool.add(pinned).unwrap();
    pool.on(ms(0), p(0), Event::Wake(v(0)));
    pool.on(ms(0), p(0), Event::Saved);

    // The second one may run on CPU 0 alone, and the first one goes to the idle CPU 1.
    assert_eq!(pool.on(ms(1), p(0), Event::Wake(v(1))).run, Some(v(1)));
    assert_eq!(pool.on(ms(1), p(1), Event::Look).run, None);
    let saved = pool.on(ms(2), p(0), Event::Saved);
    assert_eq!(
        (saved.run, saved.kick),
        (Some(v(1)), PcpuSet::EMPTY.with(p(1)))
    );
    assert_eq!(pool.on(ms(2), p(1), Event::Look).run, Some(v(0)));
    let moved = pool.on(ms(2), p(1), Event::Saved);
    // It has paid from the start, without a gap.
    assert_eq!((moved.run, moved.timer), (Some(v(0)), Some(ms(50))));
    assert_eq!(pool.counters(v(0)).unwrap().migrations, 1);
    assert_eq!(pool.counters(v(1)).unwrap().migrations, 0);
}

#[test]
fn two_wakes_at_once_kick_two_cpus() {
    let mut pool = Rtds::<2, 3>::new(ms(0));
    for _ in 0..2 {
        pool.add(parameters(10, 2)).unwrap();
    }
    let first = pool.on(ms(1), p(2), Event::Wake(v(0)));
    let second = pool.on(ms(1), p(2), Event::Wake(v(1)));
    assert_eq!(first.kick, PcpuSet::EMPTY.with(p(0)));
    assert_eq!(second.kick, PcpuSet::EMPTY.with(p(1)));
}

#[test]
fn earlier_time_than_before_counts_as_the_time_before() {
    let mut pool = Rtds::<1, 1>::new(ms(0));
    pool.add(parameters(10, 4)).unwrap();
    pool.on(ms(2), p(0), Event::Wake(v(0)));
    assert_eq!(pool.on(ms(1), p(0), Event::Saved), runs(0, 6));
}

#[test]
fn latest_time_of_all_does_not_overflow() {
    let mut pool = Rtds::<1, 1>::new(ms(0));
    pool.add(with_extra_time(10, 4)).unwrap();
    pool.on(ms(0), p(0), Event::Wake(v(0)));
    pool.on(ms(0), p(0), Event::Saved);
    let last = pool.on(Instant::MAX, p(0), Event::Look);
    assert_eq!(last.run, Some(v(0)));
    assert!(pool.counters(v(0)).unwrap().late_replenishments > 1_000_000);
}

#[test]
fn unknown_names_are_ignored() {
    let mut pool = Rtds::<2, 1>::new(ms(0));
    pool.add(parameters(10, 4)).unwrap();
    for event in [Event::Wake(v(1)), Event::Block(v(9)), Event::Saved] {
        assert_eq!(pool.on(ms(1), p(7), event), Actions::default());
    }
    assert_eq!(pool.counters(v(1)), None);
}

#[test]
fn what_the_pool_cannot_hold_is_refused() {
    let mut pool = Rtds::<2, 2, 1>::new(ms(0));
    let on = |first| Parameters {
        affinity: PcpuSet::EMPTY.with(p(first)),
        ..parameters(10, 4)
    };
    assert_eq!(pool.add(on(2)), Err(AddError::NoPcpu));
    assert_eq!(pool.add(on(1)), Ok(v(0)));
    assert_eq!(pool.add(on(0)), Err(AddError::TooManyAffinities));
    assert_eq!(pool.add(on(1)), Ok(v(1)));
    assert_eq!(pool.add(on(1)), Err(AddError::TooMany));
}

#[test]
fn who_preempts_pays_for_the_switch() {
    let mut pool = Rtds::<2, 1>::new(ms(0));
    pool.add(parameters(100, 50)).unwrap();
    pool.add(parameters(10, 4)).unwrap();
    pool.on(ms(0), p(0), Event::Wake(v(0)));
    pool.on(ms(0), p(0), Event::Saved);
    pool.on(ms(1), p(0), Event::Wake(v(1)));
    pool.on(ms(3), p(0), Event::Saved);
    let left = |pool: &Rtds<2, 1>, vcpu| pool.standing(v(vcpu)).unwrap().left.as_millis();
    assert_eq!((left(&pool, 0), left(&pool, 1)), (49, 2));
}

#[test]
fn who_goes_to_sleep_pays_until_it_is_saved() {
    let mut pool = Rtds::<2, 1>::new(ms(0));
    pool.add(parameters(100, 50)).unwrap();
    pool.add(parameters(10, 4)).unwrap();
    pool.on(ms(0), p(0), Event::Wake(v(1)));
    pool.on(ms(0), p(0), Event::Saved);
    pool.on(ms(0), p(0), Event::Wake(v(0)));
    pool.on(ms(1), p(0), Event::Block(v(1)));
    pool.on(ms(3), p(0), Event::Saved);
    pool.on(ms(5), p(0), Event::Look);
    let left = |pool: &Rtds<2, 1>, vcpu| pool.standing(v(vcpu)).unwrap().left.as_millis();
    assert_eq!((left(&pool, 0), left(&pool, 1)), (48, 1));
}
