//! No virtual CPU moves between pCPUs.

use hv::vcpu::{Hypervisor, Vcpu};

use crate::machine::Board;

/// No pool is put together.
pub const LARGEST: usize = 0;

/// No pools.
pub struct Pools;

impl Pools {
    /// There is none that it could go to.
    #[inline(always)]
    pub fn add(&mut self, _vcpu: &'static mut Vcpu<Board>) -> Option<()> {
        None
    }

    /// Nothing to do.
    #[inline(always)]
    pub fn open(self) -> Option<()> {
        Some(())
    }
}

/// None.
#[inline(always)]
pub fn pools(_hypervisor: &'static Hypervisor<Board>) -> Option<Pools> {
    Some(Pools)
}

/// No pCPU is in such a pool.
#[inline(always)]
pub fn first_turn(_pcpu: usize) -> Option<&'static mut Vcpu<Board>> {
    None
}
