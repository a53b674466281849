//! Pools and virtual CPUs after every rule has passed: which physical CPUs each virtual CPU may run on, and when.

use std::fmt::{self, Display};

use crate::admit::{VcpuId, admit};
use crate::raw::quantity::human_time;
use crate::raw::{PoolPolicy, RawSystem, RawVcpu};

/// A pool that is used.
#[derive(Debug)]
pub(crate) struct Pool {
    pub name: String,
    pub policy: PoolPolicy,
    /// Its virtual CPUs move between its CPUs.
    pub global: bool,
    /// Board indices of the CPUs that run a virtual CPU.
    pub cpus: Vec<usize>,
    /// Nanoseconds after which the windows of a cyclic pool come again.
    pub major_frame: Option<u64>,
    /// Why all virtual CPUs get the time that they are promised, one statement a line.
    pub admission: Vec<String>,
}

/// A virtual CPU.
#[derive(Debug)]
pub(crate) struct Vcpu {
    /// Its pool's place among the system's pools.
    pub pool: usize,
    /// Board indices of the CPUs that it runs on: the one that admission gave it, or in a global pool all, its home first.
    pub cpus: Vec<usize>,
    pub time: TimeShare,
}

/// When a virtual CPU runs. All times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeShare {
    /// Always.
    Always,
    /// For a budget in each period.
    Budget {
        period: u64,
        budget: u64,
        extra_time: bool,
        /// 0 is the most urgent.
        priority: u8,
    },
    /// In windows of its pool's frame: start and length of each.
    Windows(Vec<(u64, u64)>),
}

impl Display for TimeShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Budget {
                period,
                budget,
                extra_time,
                priority,
            } => {
                let (budget, period) = (human_time(*budget), human_time(*period));
                let extra = if *extra_time {
                    " and what is left over"
                } else {
                    ""
                };
                write!(f, "{budget} of each {period}{extra}, priority {priority}")
            }
            Self::Windows(windows) => {
                let one = |(start, length): &(u64, u64)| {
                    format!("{} from {}", human_time(*length), human_time(*start))
                };
                f.write_str(&windows.iter().map(one).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The pools that are used, and for each partition its virtual CPUs, each on the CPUs that admission gave it. `None` when something is
/// missing after all, which is then reported already.
pub(crate) fn assign(raw: &RawSystem) -> Option<(Vec<Pool>, Vec<Vec<Vcpu>>)> {
    let (admission, _) = admit(raw);
    let mut pools = Vec::new();
    for (pool, decided) in raw.pools.iter().zip(admission.pools.iter()) {
        let decided = decided.as_ref()?;
        pools.push(Pool {
            name: pool.name.get_ref().clone(),
            policy: *pool.policy.as_ref()?.get_ref(),
            global: pool.is_global(),
            cpus: decided.cpus.clone(),
            major_frame: pool.major_frame.as_ref().map(|frame| *frame.get_ref()),
            admission: decided.argument.clone(),
        });
    }
    let mut partitions = Vec::new();
    for (index, partition) in raw.partitions.iter().enumerate() {
        let mut vcpus = Vec::new();
        for (number, raw) in partition.vcpus.iter().enumerate() {
            let name = raw.pool.as_ref()?.get_ref();
            let pool = pools.iter().position(|pool| pool.name == *name)?;
            let id = VcpuId {
                partition: index,
                vcpu: number,
            };
            vcpus.push(Vcpu {
                pool,
                cpus: admission.homes(id)?.to_vec(),
                time: time_share(raw, pools.get(pool)?.policy)?,
            });
        }
        partitions.push(vcpus);
    }
    drop_unused(&mut pools, &mut partitions);
    Some((pools, partitions))
}

fn time_share(raw: &RawVcpu, policy: PoolPolicy) -> Option<TimeShare> {
    Some(match policy {
        PoolPolicy::Dedicated => TimeShare::Always,
        PoolPolicy::Rtds => TimeShare::Budget {
            period: *raw.period.as_ref()?.get_ref(),
            budget: *raw.budget.as_ref()?.get_ref(),
            extra_time: raw
                .extra_time
                .as_ref()
                .is_some_and(|extra| *extra.get_ref()),
            priority: match &raw.priority {
                Some(priority) => u8::try_from(*priority.get_ref()).ok()?,
                None => 0,
            },
        },
        PoolPolicy::Cyclic => {
            let windows = raw.windows.as_ref()?.get_ref().iter();
            let window = windows.map(|one| (*one.start.get_ref(), *one.length.get_ref()));
            TimeShare::Windows(window.collect())
        }
    })
}

/// Leaves out pools in which nothing runs: their CPUs stay parked.
fn drop_unused(pools: &mut Vec<Pool>, partitions: &mut [Vec<Vcpu>]) {
    for vcpu in partitions.iter_mut().flatten() {
        let before = pools.iter().take(vcpu.pool);
        vcpu.pool = before.filter(|pool| !pool.cpus.is_empty()).count();
    }
    pools.retain(|pool| !pool.cpus.is_empty());
}
