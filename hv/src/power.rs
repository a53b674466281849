//! The life of a partition and the power of its virtual CPUs: one small state machine per partition, behind one lock.
//!
//! A partition stops in two steps, because each virtual CPU can only be stopped by the physical CPU that runs it: [`Power::begin_stop`]
//! says which ones must be kicked, each parks itself through [`Power::parked`], and the last one learns what is to be done.

#[cfg(feature = "monitor")]
mod orders;

use heapless::Vec;
use model::partition::MOST_VCPUS;
use model::{Mpidr, VcpuId};

/// What a stop leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Stay stopped.
    Stop,
    /// Start again from the image.
    Restart,
}

/// Where a partition is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Before its first start.
    Loading,
    /// At least one virtual CPU is on.
    Running,
    /// Its virtual CPUs are being parked.
    Stopping(Then),
    /// Nothing of it runs; its memory and devices stay its own.
    Stopped,
    /// It starts at this time, in ticks of the system counter.
    #[cfg(feature = "monitor")]
    Waiting(u64),
    /// Its first virtual CPU is to load it.
    #[cfg(feature = "monitor")]
    Ordered,
    /// Its virtual CPUs keep what they have and do not run.
    #[cfg(feature = "monitor")]
    Suspended,
}

impl Lifecycle {
    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Running => "running",
            Self::Stopping(_) => "stopping",
            Self::Stopped => "stopped",
            #[cfg(feature = "monitor")]
            Self::Waiting(_) | Self::Ordered => "waiting",
            #[cfg(feature = "monitor")]
            Self::Suspended => "suspended",
        }
    }
}

/// Where and with what a virtual CPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// First instruction.
    pub entry: u64,
    /// Value of x0.
    pub context: u64,
}

/// Power state of one virtual CPU, as PSCI sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VcpuPower {
    Off,
    Starting(Start),
    On,
}

/// Why a virtual CPU cannot be turned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuOnError {
    /// The partition has no CPU with this affinity.
    NoSuchCpu,
    /// It runs.
    AlreadyOn,
    /// It was turned on and has not started yet.
    OnPending,
    /// The entry point is not in the partition's memory.
    BadEntry,
    /// The partition is being stopped.
    Stopping,
}

/// What PSCI AFFINITY_INFO answers (DEN 0022D, 5.1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Affinity {
    /// On.
    On = 0,
    /// Off.
    Off = 1,
    /// Turned on, not started yet.
    OnPending = 2,
}

/// Life and power of one partition.
#[derive(Debug)]
pub struct Power {
    lifecycle: Lifecycle,
    vcpus: Vec<(Mpidr, VcpuPower), MOST_VCPUS>,
    restarts: u64,
    #[cfg(feature = "monitor")]
    orders: orders::Orders,
}

impl Power {
    /// A partition that was never started. More than [`MOST_VCPUS`] virtual CPUs are cut off; the compiler refuses them.
    pub fn new(vcpus: &[model::partition::Vcpu]) -> Self {
        Self {
            lifecycle: Lifecycle::Loading,
            vcpus: vcpus
                .iter()
                .take(MOST_VCPUS)
                .map(|vcpu| (vcpu.mpidr, VcpuPower::Off))
                .collect(),
            restarts: 0,
            #[cfg(feature = "monitor")]
            orders: orders::Orders::default(),
        }
    }

    /// Where the partition is in its life.
    pub fn lifecycle(&self) -> Lifecycle {
        self.lifecycle
    }

    /// True while its virtual CPUs may be on.
    fn is_up(&self) -> bool {
        #[cfg(feature = "monitor")]
        if self.lifecycle == Lifecycle::Suspended {
            return true;
        }
        self.lifecycle == Lifecycle::Running
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The image is loaded: the first virtual CPU may start. Also the end of a restart.
    pub fn loaded(&mut self, start: Start) {
        if self.lifecycle == Lifecycle::Stopping(Then::Restart) {
            self.restarts += 1;
        }
        self.lifecycle = Lifecycle::Running;
        #[cfg(feature = "monitor")]
        self.orders.started();
        if let Some((_, power)) = self.vcpus.first_mut() {
            *power = VcpuPower::Starting(start);
        }
    }

    /// PSCI CPU_ON. Returns whose physical CPU is to be told.
    pub fn cpu_on(
        &mut self,
        target: u64,
        start: Start,
        entry_ok: bool,
    ) -> Result<VcpuId, CpuOnError> {
        if !self.is_up() {
            return Err(CpuOnError::Stopping);
        }
        let (index, (_, power)) = self
            .vcpus
            .iter_mut()
            .enumerate()
            .find(|(_, (mpidr, _))| mpidr.get() == target)
            .ok_or(CpuOnError::NoSuchCpu)?;
        match *power {
            VcpuPower::On => Err(CpuOnError::AlreadyOn),
            VcpuPower::Starting(_) => Err(CpuOnError::OnPending),
            VcpuPower::Off if !entry_ok => Err(CpuOnError::BadEntry),
            VcpuPower::Off => {
                *power = VcpuPower::Starting(start);
                Ok(VcpuId::new(index as u8))
            }
        }
    }

    /// PSCI AFFINITY_INFO at a level: 0 asks for one CPU, higher levels for all CPUs that share the upper affinity fields.
    /// `None` when no CPU of the partition matches or the level is not 0 to 3.
    pub fn affinity_info(&self, target: u64, level: u64) -> Option<Affinity> {
        let shift = match level {
            0 => 0,
            1 => 8,
            2 => 16,
            3 => 32,
            _ => return None,
        };
        let mut found = None;
        for (mpidr, power) in &self.vcpus {
            if mpidr.get() >> shift != target >> shift || (level == 0 && mpidr.get() != target) {
                continue;
            }
            let this = match power {
                VcpuPower::On => Affinity::On,
                VcpuPower::Starting(_) => Affinity::OnPending,
                VcpuPower::Off => Affinity::Off,
            };
            found = match (found, this) {
                (Some(Affinity::On), _) | (_, Affinity::On) => Some(Affinity::On),
                (Some(Affinity::OnPending), _) | (_, Affinity::OnPending) => {
                    Some(Affinity::OnPending)
                }
                _ => Some(Affinity::Off),
            };
        }
        found
    }

    /// Takes the order to start that waits for this virtual CPU, if there is one.
    pub fn take_start(&mut self, vcpu: VcpuId) -> Option<Start> {
        if self.lifecycle != Lifecycle::Running {
            return None;
        }
        let (_, power) = self.vcpus.get_mut(usize::from(vcpu.get()))?;
        let VcpuPower::Starting(start) = *power else {
            return None;
        };
        *power = VcpuPower::On;
        Some(start)
    }

    /// Begins to stop the partition. True when this call began it; then every virtual CPU that is on must come to [`Self::parked`].
    /// The first reason counts: a second stop while one is under way changes nothing.
    pub fn begin_stop(&mut self, then: Then) -> bool {
        if !self.is_up() {
            return false;
        }
        self.lifecycle = Lifecycle::Stopping(then);
        for (_, power) in &mut self.vcpus {
            if matches!(power, VcpuPower::Starting(_)) {
                *power = VcpuPower::Off;
            }
        }
        #[cfg(feature = "monitor")]
        self.note_orphan();
        true
    }

    /// True while the virtual CPU has to park: it is on and its partition is being stopped.
    pub fn must_park(&self, vcpu: VcpuId) -> bool {
        matches!(self.lifecycle, Lifecycle::Stopping(_))
            && matches!(
                self.vcpus.get(usize::from(vcpu.get())),
                Some((_, VcpuPower::On))
            )
    }

    /// The virtual CPU has stopped running: by CPU_OFF, or because its partition stops. Returns what the caller must do when it
    /// was the last one of a partition that stops; when the last one turns itself off, the partition has stopped.
    pub fn parked(&mut self, vcpu: VcpuId) -> Option<Then> {
        if let Some((_, power)) = self.vcpus.get_mut(usize::from(vcpu.get())) {
            *power = VcpuPower::Off;
        }
        if self.vcpus.iter().any(|(_, power)| *power != VcpuPower::Off) {
            return None;
        }
        match self.lifecycle {
            Lifecycle::Stopping(then) => Some(then),
            _ if self.is_up() => {
                self.lifecycle = Lifecycle::Stopping(Then::Stop);
                Some(Then::Stop)
            }
            _ => None,
        }
    }

    /// The caller has done what [`Self::parked`] asked with [`Then::Stop`].
    pub fn stopped(&mut self) {
        self.lifecycle = Lifecycle::Stopped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::PcpuId;
    use model::partition::Vcpu;

    const ENTRY: Start = Start {
        entry: 0x4000_0000,
        context: 7,
    };

    fn running(n: u8) -> Power {
        let vcpus: std::vec::Vec<Vcpu> = (0..n)
            .map(|i| Vcpu {
                pcpu: PcpuId::new(i),
                mpidr: Mpidr::new(u64::from(i)),
                time: model::time::TimeShare::Always,
            })
            .collect();
        let mut power = Power::new(&vcpus);
        power.loaded(ENTRY);
        assert_eq!(power.take_start(VcpuId::new(0)), Some(ENTRY));
        power
    }

    #[test]
    fn cpu_that_is_off_can_be_turned_on_once() {
        let mut power = running(2);
        assert_eq!(power.cpu_on(1, ENTRY, true), Ok(VcpuId::new(1)));
        assert_eq!(power.cpu_on(1, ENTRY, true), Err(CpuOnError::OnPending));
        assert_eq!(power.affinity_info(1, 0), Some(Affinity::OnPending));
        assert_eq!(power.take_start(VcpuId::new(1)), Some(ENTRY));
        assert_eq!(power.cpu_on(1, ENTRY, true), Err(CpuOnError::AlreadyOn));
        assert_eq!(power.affinity_info(1, 0), Some(Affinity::On));
    }

    #[test]
    fn unknown_affinity_and_bad_entry_are_refused() {
        let mut power = running(2);
        assert_eq!(power.cpu_on(9, ENTRY, true), Err(CpuOnError::NoSuchCpu));
        assert_eq!(power.cpu_on(1, ENTRY, false), Err(CpuOnError::BadEntry));
        assert_eq!(power.affinity_info(1, 0), Some(Affinity::Off));
    }

    #[test]
    fn running_cpu_with_a_bad_entry_is_still_already_on() {
        let mut power = running(1);
        assert_eq!(power.cpu_on(0, ENTRY, false), Err(CpuOnError::AlreadyOn));
    }

    #[test]
    fn affinity_info_of_a_cluster_is_on_while_any_of_its_cpus_is() {
        let power = running(4);
        assert_eq!(power.affinity_info(0, 1), Some(Affinity::On));
        assert_eq!(power.affinity_info(0x100, 1), None);
        assert_eq!(power.affinity_info(0, 4), None);
    }

    #[test]
    fn stop_completes_when_the_last_cpu_parks_and_only_then() {
        let mut power = running(2);
        power.cpu_on(1, ENTRY, true).unwrap();
        power.take_start(VcpuId::new(1)).unwrap();
        assert!(power.begin_stop(Then::Restart));
        assert!(power.must_park(VcpuId::new(1)));
        assert_eq!(power.parked(VcpuId::new(0)), None);
        assert_eq!(power.parked(VcpuId::new(1)), Some(Then::Restart));
        power.loaded(ENTRY);
        assert_eq!(power.restarts(), 1);
        assert_eq!(power.take_start(VcpuId::new(0)), Some(ENTRY));
        assert_eq!(power.take_start(VcpuId::new(1)), None);
    }

    #[test]
    fn second_stop_does_not_change_the_first_ones_end() {
        let mut power = running(1);
        assert!(power.begin_stop(Then::Stop));
        assert!(!power.begin_stop(Then::Restart));
        assert_eq!(power.parked(VcpuId::new(0)), Some(Then::Stop));
    }

    #[test]
    fn order_to_start_is_withdrawn_by_a_stop() {
        let mut power = running(2);
        power.cpu_on(1, ENTRY, true).unwrap();
        power.begin_stop(Then::Stop);
        assert_eq!(power.take_start(VcpuId::new(1)), None);
        assert_eq!(power.parked(VcpuId::new(0)), Some(Then::Stop));
    }

    #[test]
    fn partition_whose_last_cpu_turns_itself_off_has_stopped() {
        let mut power = running(1);
        assert_eq!(power.parked(VcpuId::new(0)), Some(Then::Stop));
        power.stopped();
        assert_eq!(power.lifecycle(), Lifecycle::Stopped);
        assert_eq!(power.cpu_on(0, ENTRY, true), Err(CpuOnError::Stopping));
    }
}
