//! What is counted of a virtual CPU's turns on a physical CPU that it shares.

/// A counter of one virtual CPU since boot. Times are in nanoseconds. The numbers are those of the call by which a guest asks for its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Counter {
    /// How often the scheduler was entered while it was loaded.
    Entries = 0,
    /// `rtds`: periods that ended while it had something to do.
    Periods = 1,
    /// `rtds`: what it was charged in the last of them.
    Supply = 2,
    /// `rtds`: the least that it was charged in a period through which it had something to do.
    LeastSupply = 3,
    /// `rtds`: how often its budget was used up.
    Depletions = 4,
    /// `rtds`: how often it had to give way with budget left.
    Preemptions = 5,
    /// `rtds`: the longest time for which it had something to do and did not run.
    Blackout = 6,
    /// `rtds`: the longest time that it ran beyond a budget.
    Overrun = 7,
    /// `rtds`: periods that were over before their budget was replenished.
    LateReplenishments = 8,
    /// `cyclic`: windows that began while it had something to do.
    Windows = 9,
    /// `cyclic`: its windows that nobody looked at in time.
    MissedWindows = 10,
    /// `cyclic`: the longest time from the begin of a window to the decision to use it.
    Lateness = 11,
    /// `rtds` with `placement = "global"`: how often it went on, on another physical CPU than the one before.
    Migrations = 12,
}

impl Counter {
    /// In the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Entries,
        Self::Periods,
        Self::Supply,
        Self::LeastSupply,
        Self::Depletions,
        Self::Preemptions,
        Self::Blackout,
        Self::Overrun,
        Self::LateReplenishments,
        Self::Windows,
        Self::MissedWindows,
        Self::Lateness,
        Self::Migrations,
    ];

    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Periods => "periods",
            Self::Supply => "supply",
            Self::LeastSupply => "least",
            Self::Depletions => "depletions",
            Self::Preemptions => "preemptions",
            Self::Blackout => "blackout",
            Self::Overrun => "overrun",
            Self::LateReplenishments => "late",
            Self::Windows => "windows",
            Self::MissedWindows => "missed",
            Self::Lateness => "lateness",
            Self::Migrations => "migrations",
        }
    }
}
