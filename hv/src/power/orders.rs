//! Starts that wait, partitions that are held back, and what others may order: the part of a partition's life that only some systems have.

use super::{Lifecycle, Power, Then, VcpuPower};

/// What was ordered and counted.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Restarts after failures since it was last started by order.
    failures: u32,
    /// When the restart that is under way may load it, in ticks.
    pause: Option<u64>,
    /// It has run before.
    has_run: bool,
    /// It was stopped when none of its virtual CPUs was on to notice.
    orphan: bool,
}

impl Orders {
    /// The partition starts.
    pub(super) fn started(&mut self) {
        self.pause = None;
        self.has_run = true;
    }
}

/// Why an order is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNow;

impl Power {
    /// It does not start before it is told to.
    pub fn hold(&mut self) {
        self.lifecycle = Lifecycle::Stopped;
    }

    /// It does not start before `at`, in ticks.
    pub fn wait(&mut self, at: u64) {
        self.lifecycle = Lifecycle::Waiting(at);
    }

    /// Counts a restart after a failure: which one it is. `Err` with how many there were when that is `limit`; none was counted then. `None` when
    /// the partition is stopping already.
    pub fn count_failure(&mut self, limit: Option<u32>) -> Option<Result<u32, u32>> {
        if !self.is_up() {
            return None;
        }
        let failures = &mut self.orders.failures;
        if limit.is_some_and(|limit| *failures >= limit) {
            return Some(Err(*failures));
        }
        *failures = failures.saturating_add(1);
        Some(Ok(*failures))
    }

    /// The restart that follows does not begin before `at`, in ticks.
    pub fn pause_until(&mut self, at: u64) {
        self.orders.pause = Some(at);
    }

    /// Its last virtual CPU has parked for a restart that waits: until when, in ticks.
    pub fn take_pause(&mut self) -> Option<u64> {
        let at = self.orders.pause.take()?;
        self.lifecycle = Lifecycle::Waiting(at);
        Some(at)
    }

    /// When it is to start, in ticks, if it waits.
    pub fn waits_until(&self) -> Option<u64> {
        match self.lifecycle {
            Lifecycle::Waiting(at) => Some(at),
            _ => None,
        }
    }

    /// Its time has come: its first virtual CPU is to be told.
    pub fn time_has_come(&mut self) {
        if matches!(self.lifecycle, Lifecycle::Waiting(_)) {
            self.lifecycle = Lifecycle::Ordered;
        }
    }

    /// A partition that stands still is to start: its first virtual CPU is to be told.
    ///
    /// # Errors
    /// It runs, is suspended, or has a stop or start under way.
    pub fn order_start(&mut self) -> Result<(), NotNow> {
        match self.lifecycle {
            Lifecycle::Stopped | Lifecycle::Waiting(_) => {
                self.lifecycle = Lifecycle::Ordered;
                self.orders.failures = 0;
                Ok(())
            }
            _ => Err(NotNow),
        }
    }

    /// A partition that waits is not to start.
    ///
    /// # Errors
    /// It does not wait.
    pub fn cancel_start(&mut self) -> Result<(), NotNow> {
        match self.lifecycle {
            Lifecycle::Waiting(_) | Lifecycle::Ordered => {
                self.lifecycle = Lifecycle::Stopped;
                Ok(())
            }
            _ => Err(NotNow),
        }
    }

    /// Takes the order to load it, if there is one. For its first virtual CPU, which does so at once.
    pub fn take_order(&mut self) -> bool {
        if self.lifecycle != Lifecycle::Ordered {
            return false;
        }
        self.lifecycle = if self.orders.has_run {
            Lifecycle::Stopping(Then::Restart)
        } else {
            Lifecycle::Loading
        };
        true
    }

    /// A stop begins: remembers when there is nobody to notice.
    pub(super) fn note_orphan(&mut self) {
        self.orders.orphan = !self.vcpus.iter().any(|(_, power)| *power == VcpuPower::On);
    }

    /// True, once, when a stop has begun that no virtual CPU notices. For the first one, which finishes it.
    pub fn take_orphan(&mut self) -> bool {
        core::mem::take(&mut self.orders.orphan)
    }

    /// Its virtual CPUs are to rest.
    ///
    /// # Errors
    /// It does not run.
    pub fn suspend(&mut self) -> Result<(), NotNow> {
        self.change(Lifecycle::Running, Lifecycle::Suspended)
    }

    /// They may go on.
    ///
    /// # Errors
    /// It is not suspended.
    pub fn resume(&mut self) -> Result<(), NotNow> {
        self.change(Lifecycle::Suspended, Lifecycle::Running)
    }

    fn change(&mut self, from: Lifecycle, to: Lifecycle) -> Result<(), NotNow> {
        if self.lifecycle != from {
            return Err(NotNow);
        }
        self.lifecycle = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Start;
    use super::*;
    use model::partition::Vcpu;
    use model::{Mpidr, PcpuId, VcpuId};

    const ENTRY: Start = Start {
        entry: 0x4000_0000,
        context: 7,
    };
    const FIRST: VcpuId = VcpuId::new(0);

    fn loading() -> Power {
        Power::new(&[Vcpu {
            pcpu: PcpuId::new(0),
            mpidr: Mpidr::new(0),
            time: model::time::TimeShare::Always,
        }])
    }

    fn running() -> Power {
        let mut power = loading();
        power.loaded(ENTRY);
        power.take_start(FIRST).unwrap();
        power
    }

    #[test]
    fn failures_are_counted_up_to_the_limit_and_no_further() {
        let mut power = running();
        assert_eq!(power.count_failure(Some(2)), Some(Ok(1)));
        assert_eq!(power.count_failure(Some(2)), Some(Ok(2)));
        assert_eq!(power.count_failure(Some(2)), Some(Err(2)));
        assert_eq!(power.count_failure(None), Some(Ok(3)));
    }

    #[test]
    fn failure_of_a_partition_that_stops_is_not_counted() {
        let mut power = running();
        power.begin_stop(Then::Restart);
        assert_eq!(power.count_failure(Some(2)), None);
    }

    #[test]
    fn restart_with_a_pause_waits_and_is_loaded_when_its_time_has_come() {
        let mut power = running();
        power.pause_until(100);
        power.begin_stop(Then::Restart);
        assert_eq!(power.parked(FIRST), Some(Then::Restart));
        assert_eq!(power.take_pause(), Some(100));
        assert_eq!(power.waits_until(), Some(100));
        assert!(!power.take_order());
        power.time_has_come();
        assert!(power.take_order());
        power.loaded(ENTRY);
        assert_eq!((power.restarts(), power.take_pause()), (1, None));
    }

    #[test]
    fn partition_that_was_held_starts_when_it_is_told_to_and_that_is_no_restart() {
        let mut power = loading();
        power.hold();
        assert_eq!(power.order_start(), Ok(()));
        assert!(power.take_order());
        power.loaded(ENTRY);
        assert_eq!(power.restarts(), 0);
    }

    #[test]
    fn order_to_start_forgets_the_failures_before() {
        let mut power = running();
        power.count_failure(Some(1));
        power.begin_stop(Then::Stop);
        power.parked(FIRST);
        power.stopped();
        power.order_start().unwrap();
        power.take_order();
        power.loaded(ENTRY);
        assert_eq!(power.count_failure(Some(1)), Some(Ok(1)));
    }

    #[test]
    fn partition_that_runs_cannot_be_started_nor_one_that_stands_still_suspended() {
        assert_eq!(running().order_start(), Err(NotNow));
        assert_eq!(running().resume(), Err(NotNow));
        let mut power = loading();
        power.hold();
        assert_eq!(power.suspend(), Err(NotNow));
        assert_eq!(power.cancel_start(), Err(NotNow));
    }

    #[test]
    fn start_that_waits_can_be_cancelled() {
        let mut power = loading();
        power.wait(100);
        assert_eq!(power.cancel_start(), Ok(()));
        assert_eq!(power.lifecycle(), Lifecycle::Stopped);
    }

    #[test]
    fn suspended_partition_can_be_stopped_and_starts_no_cpu_before_it_goes_on() {
        let mut power = running();
        power.suspend().unwrap();
        assert_eq!(power.take_start(FIRST), None);
        assert!(power.begin_stop(Then::Stop));
        assert!(power.must_park(FIRST));
    }

    #[test]
    fn stop_of_a_partition_without_a_cpu_that_is_on_is_an_orphan_once() {
        let mut power = loading();
        power.loaded(ENTRY);
        assert!(power.begin_stop(Then::Stop));
        assert!(power.take_orphan());
        assert!(!power.take_orphan());
        assert_eq!(power.parked(FIRST), Some(Then::Stop));
    }

    #[test]
    fn stop_that_a_cpu_notices_is_no_orphan() {
        let mut power = running();
        power.begin_stop(Then::Stop);
        assert!(!power.take_orphan());
    }
}
