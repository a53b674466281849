//! Pools whose virtual CPUs move: their room, sized by the system, and the pCPUs that belong to them.

use core::sync::atomic::{AtomicPtr, Ordering};

use hv::arch::aarch64::el2::El2;
use hv::pool::global::{self, Member, Pool, Post, START};
use hv::vcpu::{Hypervisor, Vcpu};
use model::system;
use model::time::TimeShare;
use rtds::{PcpuIndex, Rtds};
use static_cell::{ConstStaticCell, StaticCell};

use crate::SYSTEM;
use crate::machine::Board;
use crate::storage::{PCPUS, VCPUS};

/// The policy of a pool. There are no more affinities than virtual CPUs.
pub type Policy = Rtds<MOVING, WIDEST, MOVING>;

/// All virtual CPUs that move: as many as a pool has at most.
const MOVING: usize = moving();

/// The most pCPUs of a global pool.
const WIDEST: usize = widest();

#[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
const fn moving() -> usize {
    let mut count = 0;
    let mut partition = 0;
    while partition < SYSTEM.partitions.len() {
        let vcpus = SYSTEM.partitions[partition].vcpus;
        let mut index = 0;
        while index < vcpus.len() {
            count += matches!(vcpus[index].time, TimeShare::Global { .. }) as usize;
            index += 1;
        }
        partition += 1;
    }
    count
}

#[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
const fn widest() -> usize {
    let mut widest = 0;
    let mut pool = 0;
    while pool < SYSTEM.pools.len() {
        if is_global(&SYSTEM.pools[pool]) && SYSTEM.pools[pool].pcpus.len() > widest {
            widest = SYSTEM.pools[pool].pcpus.len();
        }
        pool += 1;
    }
    widest
}

const fn is_global(pool: &system::Pool) -> bool {
    matches!(pool.policy, system::Policy::GlobalRtds)
}

/// Bytes of the largest thing that is put together here.
pub const LARGEST: usize = size_of::<Pool<Board>>();

/// The pools, of which there are no more than pCPUs.
static POOLS: StaticCell<heapless::Vec<Pool<Board>, PCPUS>> = StaticCell::new();
/// The virtual CPUs of all of them.
static MEMBERS: ConstStaticCell<[Option<Member<Board>>; VCPUS]> =
    ConstStaticCell::new([const { None }; VCPUS]);
/// The pCPUs of all of them.
static POSTS: StaticCell<heapless::Vec<Post<Board>, PCPUS>> = StaticCell::new();
/// What each pCPU takes when it begins.
static ASSIGNED: [AtomicPtr<Post<Board>>; PCPUS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; PCPUS];

/// Pools that are being filled, in the order of the system's global ones.
pub struct Pools(&'static mut heapless::Vec<Pool<Board>, PCPUS>);

/// The global pools of the system.
fn global_pools() -> impl Iterator<Item = &'static system::Pool> {
    SYSTEM.pools.iter().filter(|pool| is_global(pool))
}

/// The pools, empty. `None` when the system table contradicts itself.
pub fn pools(hypervisor: &'static Hypervisor<Board>) -> Option<Pools> {
    let pools = POOLS.init(heapless::Vec::new());
    let mut places: &'static mut [_] = MEMBERS.take();
    for config in global_pools() {
        let (own, rest) = places.split_at_mut_checked(members(config))?;
        places = rest;
        let policy = Policy::new(START);
        let pool = Pool::new(hypervisor, config.pcpus, policy, own, El2::frequency());
        pools.push(pool).ok()?;
    }
    Some(Pools(pools))
}

/// How many virtual CPUs have their home in a pool.
fn members(pool: &system::Pool) -> usize {
    let vcpus = SYSTEM.partitions.iter().flat_map(|one| one.vcpus);
    vcpus
        .filter(|vcpu| matches!(vcpu.time, TimeShare::Global { .. }))
        .filter(|vcpu| pool.pcpus.contains(&vcpu.pcpu))
        .count()
}

impl Pools {
    /// Gives a virtual CPU to the pool of its home. `None` when the system table contradicts itself.
    pub fn add(&mut self, vcpu: &'static mut Vcpu<Board>) -> Option<()> {
        let configs = vcpu.partition.config.vcpus;
        let home = configs.get(usize::from(vcpu.id.get()))?.pcpu;
        let pool = global_pools().position(|pool| pool.pcpus.contains(&home))?;
        self.0.get_mut(pool)?.add(vcpu).then_some(())
    }

    /// All virtual CPUs have come: each pCPU of a pool finds what it takes when it begins.
    pub fn open(self) -> Option<()> {
        let pools: &'static [Pool<Board>] = self.0;
        let posts = POSTS.init(heapless::Vec::new());
        for (pool, config) in pools.iter().zip(global_pools()) {
            for place in 0..config.pcpus.len() {
                let place = PcpuIndex::new(u8::try_from(place).ok()?);
                posts.push(Post::new(pool, place)).ok()?;
            }
        }
        let pcpus = global_pools().flat_map(|pool| pool.pcpus);
        for (pcpu, post) in pcpus.zip(posts.iter_mut()) {
            let assigned = ASSIGNED.get(usize::from(pcpu.get()))?;
            assigned.store(post, Ordering::Release);
        }
        Some(())
    }
}

/// Gives the first turn on the calling pCPU. `None` when it is in no global pool.
pub fn first_turn(pcpu: usize) -> Option<&'static mut Vcpu<Board>> {
    let post = ASSIGNED.get(pcpu)?.load(Ordering::Acquire);
    // SAFETY: the boot CPU stored a pointer to what lives for ever and belongs to this pCPU alone, or left it null.
    let post = unsafe { post.as_mut() }?;
    El2::withhold_debug();
    Some(global::bring_up(post))
}
