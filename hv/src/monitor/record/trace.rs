//! The end of the trace in a record: what led to the failure.

use crate::trace::Event;

/// The last events of the physical CPU that found the failure, the oldest of them first. Events whose words are 0 are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace([[u64; Event::WORDS]; Self::MOST]);

impl Trace {
    /// Events that a record has room for.
    pub const MOST: usize = 9;

    /// These events, of which there are not more than [`MOST`](Self::MOST).
    pub fn of(events: impl Iterator<Item = Event>) -> Self {
        let mut trace = Self([[0; Event::WORDS]; Self::MOST]);
        for (place, event) in trace.0.iter_mut().zip(events) {
            *place = event.words();
        }
        trace
    }

    /// The events.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        let there = self.0.iter().filter(|words| **words != [0; Event::WORDS]);
        there.map(|words| Event::from_words(*words))
    }

    pub(super) fn encode(&self, words: &mut [u64]) {
        for (word, value) in words.iter_mut().zip(self.0.as_flattened()) {
            *word = *value;
        }
    }

    /// From the words behind the registers.
    pub(super) fn decode(words: &[u64]) -> Self {
        let mut trace = Self::of(core::iter::empty());
        for (place, word) in trace.0.as_flattened_mut().iter_mut().zip(words) {
            *place = *word;
        }
        trace
    }
}
