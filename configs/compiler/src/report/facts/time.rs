//! CPUs, pools and shares of time.

use serde::Serialize;

/// A physical CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CpuEntry {
    /// Its board index.
    pub cpu: usize,
    /// Its affinity, as MPIDR_EL1 has it.
    pub mpidr: u64,
    /// Its pool; `None` when it is parked.
    pub pool: Option<String>,
    /// Virtual CPUs that may run on it.
    pub runs: Vec<VcpuName>,
}

/// Which virtual CPU.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct VcpuName {
    /// Name of its partition.
    pub partition: String,
    /// Its number there.
    pub vcpu: usize,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolEntry {
    /// Its name.
    pub name: String,
    /// `dedicated`, `rtds` or `cyclic`.
    pub policy: String,
    /// Board indices of its CPUs in use.
    pub cpus: Vec<usize>,
    /// Major frame of a cyclic pool.
    pub major_frame_ns: Option<u64>,
    /// Why what the pool promises fits, one step a line.
    pub admission: Vec<String>,
}

/// A virtual CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VcpuEntry {
    /// Its pool.
    pub pool: String,
    /// Board indices of the physical CPUs on which it may run.
    pub cpus: Vec<usize>,
    /// Affinity that the guest reads.
    pub mpidr: u64,
    /// Its time.
    pub share: Share,
}

/// The time of a virtual CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "policy", rename_all = "lowercase")]
pub enum Share {
    /// All of its physical CPU.
    Dedicated,
    /// `budget_ns` in each `period_ns`.
    Rtds {
        /// Length of a period.
        period_ns: u64,
        /// Time in each period.
        budget_ns: u64,
        /// True when it may use what others leave.
        extra_time: bool,
        /// 0 is the most urgent.
        priority: u8,
    },
    /// These windows of each major frame.
    Cyclic {
        /// By start.
        windows: Vec<Window>,
    },
}

/// A window of a major frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// From the start of the frame.
    pub start_ns: u64,
    /// How long.
    pub length_ns: u64,
}

impl Share {
    /// Millionths of one CPU, given the pool's major frame.
    pub fn utilisation_ppm(&self, major_frame_ns: Option<u64>) -> u64 {
        match self {
            Self::Dedicated => MILLION,
            Self::Rtds {
                period_ns,
                budget_ns,
                ..
            } => ppm(*budget_ns, *period_ns),
            Self::Cyclic { windows } => {
                let busy = windows.iter().map(|window| window.length_ns);
                ppm(
                    busy.fold(0, u64::saturating_add),
                    major_frame_ns.unwrap_or(0),
                )
            }
        }
    }
}

const MILLION: u64 = 1_000_000;

/// Millionths that `part` is of `whole`; 0 of nothing.
fn ppm(part: u64, whole: u64) -> u64 {
    let parts = (u128::from(part) * u128::from(MILLION)).checked_div(u128::from(whole));
    u64::try_from(parts.unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_a_period_is_200000_millionths() {
        let share = Share::Rtds {
            period_ns: 1_000_000,
            budget_ns: 200_000,
            extra_time: false,
            priority: 0,
        };
        assert_eq!(share.utilisation_ppm(None), 200_000);
    }

    #[test]
    fn windows_are_measured_in_their_major_frame() {
        let window = |start_ns, length_ns| Window {
            start_ns,
            length_ns,
        };
        let share = Share::Cyclic {
            windows: vec![window(0, 2), window(5, 3)],
        };
        assert_eq!(share.utilisation_ppm(Some(10)), 500_000);
        assert_eq!(share.utilisation_ppm(None), 0);
    }

    #[test]
    fn huge_times_do_not_overflow() {
        let share = Share::Rtds {
            period_ns: 1,
            budget_ns: u64::MAX,
            extra_time: false,
            priority: 0,
        };
        assert_eq!(share.utilisation_ppm(None), u64::MAX);
    }
}
