//! Admission: does what is promised fit the processors? Asked when a system is built, never at run time.
//!
//! # Budgets (`rtds` pools)
//! A virtual CPU is a deferrable server: a budget in each period, which burns only while it runs and is lost at the period's end. The
//! promise is that one that stays ready through a whole period of its own gets its whole budget in it, whatever the others do.
//!
//! Take such a period, of length P, of the virtual CPU v on a physical CPU. As long as v has not had its budget, that CPU runs v, or
//! one of a more urgent priority, or one of v's priority whose deadline is not after v's. Each of those gets at most its budget in each
//! of its own periods, so in that time they take no more than [`Server::most_in`] (more urgent) or [`Server::most_before`] (v's
//! priority). Hence
//!
//! ```text
//! budget(v) + Σ most_in(P) of the more urgent + Σ most_before(P) of the others of its priority ≤ P
//! ```
//!
//! suffices. To each budget comes what a physical CPU loses around it, [`Server::with_switch_cost`]: the timer at its end fires late, and
//! switching takes time. Other switches are paid by the one that causes them, from its budget (`rtds::rtds`, "Who pays"). It needs no assumption about when the others block, wake or what their phases are: the back-to-back effect of deferrable
//! servers is in the two bounds (Strosnider, Lehoczky, Sha, "The deferrable server algorithm", IEEE Transactions on Computers 44(1),
//! 1995, for fixed priorities; Ghazalie, Baker, "Aperiodic servers in a deadline scheduling environment", Real-Time Systems 9, 1995, for
//! deadlines, whose linear bound `U (P + period − budget)` is never below `most_before(P)`).
//!
//! The policy must do its part: time beyond a budget (`extra_time`) is given only while nobody on his own budget waits, and each virtual
//! CPU runs on the physical CPU that it was placed on.
//!
//! That the utilisations add up to at most 1 would not suffice: a server of 50 ms in 100 ms that wakes 10 ms before its deadline keeps
//! one of 2 ms in 10 ms from running at all in that time.
//!
//! Where virtual CPUs may move, [`global`] has the same argument for several physical CPUs.
//!
//! # Windows (`cyclic` pools)
//! Windows on one physical CPU do not overlap: [`cyclic`].
//!
//! # Placement
//! [`place`](placement::place) looks for a physical CPU for each virtual one: first fit in the caller's order (decreasing utilisation, as
//! is usual), then other combinations within a bounded number of steps.

pub mod cyclic;
pub mod global;
pub mod placement;
pub mod server;
#[cfg(test)]
mod simulation;

pub use placement::{PlaceError, Placing, place};
pub use server::{Need, Server, need};
