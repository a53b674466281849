//! What decides on each shared pCPU: budgets, or windows in a frame, for which there is room here.

use hv::pool::choice::Choice;
use hv::pool::dispatcher::Dispatcher;
use static_cell::StaticCell;

use super::MOST;
use crate::storage::PCPUS;
use crate::{SYSTEM, cpu};

/// What decides on one.
pub type Decider = Dispatcher<Choice<MOST>>;

/// Not on the stacks, which are small.
static DECIDERS: [StaticCell<Decider>; PCPUS] = [const { StaticCell::new() }; PCPUS];

/// What decides on a pCPU, for nobody yet, once. `None`: the table names no policy that the image has.
pub fn decider(pcpu: usize) -> Option<&'static mut Decider> {
    let frequency = u64::from(cpu::tsc_khz()) * 1000;
    let policy = of(pcpu)?;
    let place = DECIDERS.get(pcpu)?;
    Some(place.init_with(|| Dispatcher::new(policy, frequency)))
}

fn of(pcpu: usize) -> Option<Choice<MOST>> {
    match SYSTEM.pcpus.get(pcpu)?.major_frame {
        #[cfg(feature = "cyclic")]
        Some(frame) => windows::of(pcpu, frame).map(Choice::Windows),
        #[cfg(feature = "rtds")]
        None => Some(Choice::Budgets(hv::pool::budget::Budgets::new())),
        #[cfg(not(all(feature = "cyclic", feature = "rtds")))]
        _ => None,
    }
}

#[cfg(feature = "cyclic")]
mod windows {
    use hv::pool::windows::{NO_WINDOW, Window, Windows};
    use model::time::Duration;
    use static_cell::ConstStaticCell;

    use super::MOST;
    use crate::SYSTEM;
    use crate::storage::PCPUS;

    /// As many windows as the whole system has: then they find room on one pCPU, too.
    const WINDOWS: usize = SYSTEM.windows();

    static ROOMS: [ConstStaticCell<[Window; WINDOWS]>; PCPUS] =
        [const { ConstStaticCell::new([NO_WINDOW; WINDOWS]) }; PCPUS];

    /// The policy with frames of this many nanoseconds.
    pub fn of(pcpu: usize, frame: u64) -> Option<Windows<MOST>> {
        let room = ROOMS.get(pcpu)?.try_take()?;
        Some(Windows::new(Duration::from_ticks(frame), room))
    }
}
