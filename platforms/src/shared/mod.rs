//! pCPUs that several virtual CPUs share: their schedulers, and what these need of the board.

use core::sync::atomic::{AtomicPtr, Ordering};

use hv::arch::aarch64::el2::El2;
use hv::pool::choice::Choice;
use hv::pool::{Member, Scheduler, SharedMachine, bring_up};
use hv::vcpu::{Hypervisor, Vcpu};
use model::PcpuId;
use model::system::Policy;
use model::time::TimeShare;
use static_cell::{ConstStaticCell, StaticCell};

#[cfg_attr(not(feature = "global"), path = "global_absent.rs")]
mod global;
#[cfg(feature = "cyclic")]
mod windows;

use crate::SYSTEM;
use crate::machine::Board;
use crate::storage::{PCPUS, VCPUS};

/// The most virtual CPUs that share one pCPU; at least one, although a system with global pools alone has none that stay.
const MOST: usize = most();

const fn most() -> usize {
    let mut most = 1;
    let mut pcpu = 0;
    while pcpu < PCPUS {
        let here = members(pcpu);
        if here > most {
            most = here;
        }
        pcpu += 1;
    }
    most
}

/// How many virtual CPUs share a pCPU and stay there; 0 when it is dedicated or in a global pool.
#[allow(clippy::indexing_slicing, reason = "evaluated when compiled, too")]
const fn members(pcpu: usize) -> usize {
    let mut count = 0;
    let mut partition = 0;
    while partition < SYSTEM.partitions.len() {
        let vcpus = SYSTEM.partitions[partition].vcpus;
        let mut index = 0;
        while index < vcpus.len() {
            let shares = matches!(
                vcpus[index].time,
                TimeShare::Budget(_) | TimeShare::Windows(_)
            );
            if shares && vcpus[index].pcpu.get() as usize == pcpu {
                count += 1;
            }
            index += 1;
        }
        partition += 1;
    }
    count
}

impl SharedMachine for Board {
    type Policy = Choice<MOST>;
    #[cfg(feature = "global")]
    type GlobalPolicy = global::Policy;
}

/// Bytes of the largest thing that is put together here.
pub const LARGEST: usize = size_of::<Scheduler<Board>>() + global::LARGEST;

/// The schedulers.
static SCHEDULERS: StaticCell<heapless::Vec<Scheduler<Board>, PCPUS>> = StaticCell::new();
/// The virtual CPUs of all of them.
static MEMBERS: ConstStaticCell<[Option<Member<Board>>; VCPUS]> =
    ConstStaticCell::new([const { None }; VCPUS]);
/// The scheduler of each pCPU, until the pCPU takes it.
static ASSIGNED: [AtomicPtr<Scheduler<Board>>; PCPUS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; PCPUS];

/// Puts together the schedulers of all shared pCPUs, and gives each its virtual CPUs out of `vcpus`. Returns those that share none. `None` when the
/// system table contradicts itself.
pub fn prepare(
    hypervisor: &'static Hypervisor<Board>,
    vcpus: impl Iterator<Item = &'static mut Vcpu<Board>>,
    mut dedicated: impl FnMut(&'static mut Vcpu<Board>) -> Option<()>,
) -> Option<()> {
    let schedulers = SCHEDULERS.init(heapless::Vec::new());
    let mut places: &'static mut [_] = MEMBERS.take();
    let mut of_pcpu = [None; PCPUS];
    let mut pools = global::pools(hypervisor)?;
    for (pcpu, index) in of_pcpu.iter_mut().enumerate() {
        let count = members(pcpu);
        if count > 0 {
            let (own, rest) = places.split_at_mut_checked(count)?;
            places = rest;
            let policy = policy(pcpu)?;
            let scheduler = Scheduler::new(hypervisor, policy, own, El2::frequency());
            *index = Some(schedulers.len());
            schedulers.push(scheduler).ok()?;
        }
    }
    for vcpu in vcpus {
        let config = vcpu
            .partition
            .config
            .vcpus
            .get(usize::from(vcpu.id.get()))?;
        match config.time {
            TimeShare::Always => {
                dedicated(vcpu)?;
                continue;
            }
            TimeShare::Global { .. } => {
                pools.add(vcpu)?;
                continue;
            }
            TimeShare::Budget(_) | TimeShare::Windows(_) => {}
        }
        let index = (*of_pcpu.get(usize::from(config.pcpu.get()))?)?;
        schedulers.get_mut(index)?.add(vcpu).then_some(())?;
    }
    for scheduler in schedulers.iter_mut() {
        scheduler.begin().then_some(())?;
    }
    pools.open()?;
    for (assigned, index) in ASSIGNED.iter().zip(of_pcpu) {
        if let Some(scheduler) = index.and_then(|index| schedulers.get_mut(index)) {
            assigned.store(scheduler, Ordering::Release);
        }
    }
    Some(())
}

/// The policy of a shared pCPU's pool; `None` when it is in no such pool.
fn policy(pcpu: usize) -> Option<Choice<MOST>> {
    let is_there = |id: &PcpuId| usize::from(id.get()) == pcpu;
    let mut pools = SYSTEM.pools.iter();
    let pool = pools.find(|pool| pool.pcpus.iter().any(is_there))?;
    match pool.policy {
        #[cfg(feature = "rtds")]
        Policy::Rtds => Some(Choice::Budgets(hv::pool::budget::Budgets::new())),
        #[cfg(feature = "cyclic")]
        Policy::Cyclic { major_frame } => windows::policy(pcpu, major_frame).map(Choice::Windows),
        _ => None,
    }
}

/// Gives the first turn on the calling pCPU. `None` when it is not shared.
pub fn first_turn(pcpu: usize) -> Option<&'static mut Vcpu<Board>> {
    if let Some(vcpu) = global::first_turn(pcpu) {
        return Some(vcpu);
    }
    let scheduler = ASSIGNED.get(pcpu)?.load(Ordering::Acquire);
    // SAFETY: the boot CPU stored a pointer to a scheduler that lives for ever and belongs to this pCPU alone, or left it null.
    let scheduler = unsafe { scheduler.as_mut() }?;
    El2::withhold_debug();
    bring_up(scheduler)
}
