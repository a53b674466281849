//! What decides whose turn it is: the policies of the crate `rtds`, each for one physical CPU.

use embassy_time::Instant;
use model::time::TimeShare;

use super::counters::Counter;

/// What a policy is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This virtual CPU of the physical one has something to do.
    Wake(usize),
    /// It has nothing to do.
    Block(usize),
    /// Time has passed.
    Look,
}

/// What a policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whose turn it is; `None`: nobody's.
    pub run: Option<usize>,
    /// When it wants to look again at the latest.
    pub next: Option<Instant>,
}

/// A policy for one physical CPU.
pub trait Policy: Sized {
    /// A virtual CPU comes to it, with the time that it is promised; it sleeps. They are numbered in the order in which they come.
    /// False when there is no room for it, or no such promise is made here.
    fn add(&mut self, time: &TimeShare) -> bool;

    /// All have come. False when what they were promised does not fit together.
    fn begin(&mut self) -> bool;

    /// Something happened at `now`. Times never go back; to wake who is awake and to block who sleeps changes nothing.
    fn on(&mut self, now: Instant, event: Event) -> Decision;

    /// What the last decision took from the physical CPU is saved at `now`, and what it gave takes its place. Asked after each last decision.
    fn taken(&mut self, now: Instant) -> Decision;

    /// A counter of a virtual CPU as of the last event; `None` when this policy does not have it, or not yet.
    fn counter(&self, vcpu: usize, counter: Counter) -> Option<u64>;

    /// How often a virtual CPU's budget was used up, and how many of its periods have ended: asked at each decision that is traced.
    #[cfg(feature = "trace")]
    fn ends(&self, vcpu: usize) -> [u64; 2];
}
