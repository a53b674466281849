//! Pools and virtual CPUs after every rule has passed: which physical CPUs each virtual CPU may run on, and when.

use std::fmt::{self, Display};

use crate::raw::quantity::human_time;
use crate::raw::{PoolPolicy, RawSystem, RawVcpu};

/// A pool that is used.
#[derive(Debug)]
pub(crate) struct Pool {
    pub name: String,
    pub policy: PoolPolicy,
    /// Board indices of the CPUs that run a virtual CPU.
    pub cpus: Vec<usize>,
    /// Nanoseconds after which the windows of a cyclic pool come again.
    pub major_frame: Option<u64>,
}

/// A virtual CPU.
#[derive(Debug)]
pub(crate) struct Vcpu {
    /// Its pool's place among the system's pools.
    pub pool: usize,
    /// Board indices of the CPUs that it may run on: at least one, exactly one in a dedicated pool.
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

/// The pools that are used, and for each partition its virtual CPUs. In a dedicated pool each takes the first free CPU of its list,
/// in the order of the file. `None` when something is missing after all, which is then reported already.
pub(crate) fn assign(raw: &RawSystem) -> Option<(Vec<Pool>, Vec<Vec<Vcpu>>)> {
    let mut pools = Vec::new();
    // CPUs of each pool that a dedicated virtual CPU can still take.
    let mut free = Vec::new();
    for pool in &raw.pools {
        let cpus = pool.cpus.as_ref()?.get_ref().iter();
        free.push(cpus.map(|cpu| *cpu.get_ref() as usize).collect::<Vec<_>>());
        pools.push(Pool {
            name: pool.name.get_ref().clone(),
            policy: *pool.policy.as_ref()?.get_ref(),
            cpus: Vec::new(),
            major_frame: pool.major_frame.as_ref().map(|frame| *frame.get_ref()),
        });
    }
    let mut partitions = Vec::new();
    for partition in &raw.partitions {
        let mut vcpus = Vec::new();
        for raw in &partition.vcpus {
            let name = raw.pool.as_ref()?.get_ref();
            let index = pools.iter().position(|pool| pool.name == *name)?;
            vcpus.push(vcpu(
                raw,
                index,
                pools.get_mut(index)?,
                free.get_mut(index)?,
            )?);
        }
        partitions.push(vcpus);
    }
    drop_unused(&mut pools, &mut partitions);
    Some((pools, partitions))
}

fn vcpu(raw: &RawVcpu, index: usize, pool: &mut Pool, free: &mut Vec<usize>) -> Option<Vcpu> {
    let allowed = |cpu: &usize| {
        let listed = raw.affinity.as_ref().map(|list| list.get_ref());
        listed.is_none_or(|list| list.iter().any(|one| *one.get_ref() as usize == *cpu))
    };
    let cpus = match pool.policy {
        PoolPolicy::Dedicated => {
            let place = free.iter().position(allowed)?;
            vec![free.remove(place)]
        }
        PoolPolicy::Rtds | PoolPolicy::Cyclic => free.iter().copied().filter(allowed).collect(),
    };
    if cpus.is_empty() {
        return None;
    }
    for cpu in &cpus {
        if !pool.cpus.contains(cpu) {
            pool.cpus.push(*cpu);
        }
    }
    Some(Vcpu {
        pool: index,
        cpus,
        time: time_share(raw, pool.policy)?,
    })
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
