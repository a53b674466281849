//! Nothing is recorded.

use hv::event::Event as Told;
use model::PartitionId;
use model::x86::exit::ExitKind;
#[cfg(feature = "channels")]
use x86_port::bell::Listener;
use x86_port::guest::Guest;

/// Nobody needs to know when.
#[cfg(feature = "shared")]
pub const fn moment() -> u64 {
    0
}

/// No CPU records.
pub const fn begin(_pcpu: usize) {}

/// What the log is told is told to it alone.
pub const fn note(_event: &Told) {}

/// This CPU has waited.
pub const fn waited() {}

/// Nothing ends.
pub const fn freeze() {}

/// No lines.
pub fn report(_tell: impl FnMut(&str)) {}

/// What records a virtual CPU: nothing does.
#[derive(Clone, Copy)]
pub struct Recorder;

impl Recorder {
    /// The same.
    pub const fn new(_partition: PartitionId, _number: usize, _pcpu: usize) -> Self {
        Self
    }

    /// The guest was left.
    pub const fn left(self, _at: u64, _guest: &impl Guest) {}

    /// The guest is entered.
    pub const fn entering(self, _kind: ExitKind) {}

    /// It rings somebody.
    #[cfg(feature = "channels")]
    pub const fn rings(self, _to: &Listener) {}

    /// It cannot go on.
    pub const fn cannot_go_on(self, _pc: u64) {}
}
