//! Room for the windows of `cyclic` pools.

use hv::pool::windows::{NO_WINDOW, Window, Windows};
use model::time::{Duration, TimeShare};
use static_cell::ConstStaticCell;

use super::MOST;
use crate::SYSTEM;
use crate::storage::PCPUS;

/// As many windows as the whole system has: then they find room on one pCPU, too.
const WINDOWS: usize = windows();

const fn windows() -> usize {
    let mut sum = 0;
    let mut partition = 0;
    while partition < SYSTEM.partitions.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
        let vcpus = SYSTEM.partitions[partition].vcpus;
        let mut index = 0;
        while index < vcpus.len() {
            #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
            let time = vcpus[index].time;
            if let TimeShare::Windows(windows) = time {
                sum += windows.len();
            }
            index += 1;
        }
        partition += 1;
    }
    sum
}

static ROOMS: [ConstStaticCell<[Window; WINDOWS]>; PCPUS] =
    [const { ConstStaticCell::new([NO_WINDOW; WINDOWS]) }; PCPUS];

/// The policy of a pCPU with frames of this length, once.
pub fn policy(pcpu: usize, major_frame: Duration) -> Option<Windows<MOST>> {
    let room = ROOMS.get(pcpu)?.try_take()?;
    Some(Windows::new(major_frame, room))
}
