//! Grants: arrivals that the exit vectors may deliver by themselves, without a lock and without a word of Rust.
//!
//! Most arrivals change nothing that the virtual controller knows: the interrupt has a list register as its home, the guest has ended it there,
//! and it comes again. All that has to happen is that the same value is written to the same register. While that is so the controller
//! leaves a grant: which register, and what to write. The vectors then need three checks: is there a grant for this interrupt, is its
//! register free, is that register one that they reach.
//!
//! # Why that is right
//! - Only the physical CPU that runs the virtual CPU uses its grants, and only it makes them. Any CPU may revoke one, under the
//!   partition's lock, and does so in the one place that every change of an interrupt passes ([`Vgic::update`](super::Vgic)).
//! - A delivery by a grant leaves the controller's state as it was, as a delivery of a held interrupt by Rust does. So whoever changes an
//!   interrupt that another virtual CPU holds must assume that it has just arrived there, and does: it leaves a note and kicks.
//!   A delivery that overlaps such a change is one that came just before it, and is found when the kicked CPU reads its registers back.
//! - A list register that holds anything, or whose end nobody has looked at yet, is not free (`ELRSR`; IHI 0069H 12.4.4, IHI 0048B 5.3.8).
//! - Nothing that waits for a list register is passed over: while something waits there are no grants.

use core::sync::atomic::{AtomicU64, Ordering};
use model::IntId;
#[cfg(feature = "virtual-v2")]
use model::VcpuId;

/// List registers that the vectors reach: the first four, which every implementation that matters has.
pub const SLOTS: usize = 4;
/// Places for physical interrupts. Those with equal numbers modulo this share one, and the newest has it.
pub const PHYSICAL: usize = 32;
/// Software-generated interrupts.
const SGIS: usize = 16;

/// One grant. The assembly reads both words; see `vectors` in the crate `hv`.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Grant {
    /// The interrupt in bits 31:0, the list register as a bit from 32 on. No register: no grant.
    key: AtomicU64,
    /// What to write to the list register, as [`ListRegisters::image`](crate::ListRegisters::image) gives it.
    value: AtomicU64,
}

impl Grant {
    const fn none() -> Self {
        Self {
            key: AtomicU64::new(0),
            value: AtomicU64::new(0),
        }
    }
}

/// The grants of one virtual CPU.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Grants {
    /// SGIs. Physical ones are the hypervisor's, so these are apart. The value for one of a GICv2 lacks its source CPU.
    pub sgis: [Grant; SGIS],
    /// Physical interrupts, by number modulo [`PHYSICAL`].
    pub physical: [Grant; PHYSICAL],
    /// How often the vectors have delivered by a grant. Written by them alone.
    pub delivered: AtomicU64,
}

impl Grants {
    /// No grants, nothing delivered.
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "a value to start from, copied wherever it is named"
    )]
    pub const NEW: Self = Self {
        physical: [const { Grant::none() }; PHYSICAL],
        sgis: [const { Grant::none() }; SGIS],
        delivered: AtomicU64::new(0),
    };

    fn place(&self, intid: IntId) -> Option<&Grant> {
        if intid.is_sgi() {
            self.sgis.get(intid.get() as usize)
        } else {
            self.physical.get(intid.get() as usize % PHYSICAL)
        }
    }

    /// Grants delivery of `intid` by writing `value` to list register `slot`. False when the vectors do not reach that register.
    pub(super) fn set(&self, intid: IntId, slot: usize, value: u64) -> bool {
        let Some(grant) = self.place(intid).filter(|_| slot < SLOTS) else {
            return false;
        };
        grant.value.store(value, Ordering::Relaxed);
        let key = u64::from(intid.get()) | 1 << (32 + slot);
        grant.key.store(key, Ordering::Relaxed);
        true
    }

    /// Takes the grant of `intid` back, if it still has one.
    pub(super) fn revoke(&self, intid: IntId) {
        if let Some(grant) = self.place(intid)
            && grant.key.load(Ordering::Relaxed) as u32 == intid.get()
        {
            grant.key.store(0, Ordering::Relaxed);
        }
    }

    /// Takes all grants back.
    pub(super) fn revoke_all(&self) {
        for grant in self.physical.iter().chain(&self.sgis) {
            grant.key.store(0, Ordering::Relaxed);
        }
    }

    /// What the vectors do for an arrival of `intid` while the list registers in `empty` are free: the register to write, and the value.
    /// Only for the physical CPU that runs the virtual CPU.
    #[inline]
    pub fn straight(&self, intid: IntId, empty: u64) -> Option<(usize, u64)> {
        let grant = self.place(intid)?;
        let key = grant.key.load(Ordering::Relaxed);
        let slots = key >> 32 & ((1 << SLOTS) - 1);
        (key as u32 == intid.get() && slots & empty != 0).then(|| {
            let slot = slots.trailing_zeros() as usize;
            (slot, grant.value.load(Ordering::Relaxed))
        })
    }

    /// The same for an SGI of a GICv2 from virtual CPU `source`, which a list register names in bits 12:10 (IHI 0048B 5.3.10).
    #[cfg(feature = "virtual-v2")]
    #[inline]
    pub fn straight_from(&self, source: VcpuId, sgi: IntId, empty: u64) -> Option<(usize, u64)> {
        let (slot, value) = self.straight(sgi, empty)?;
        Some((slot, value | u64::from(source.get() & 7) << 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMER: IntId = IntId::new(27);

    #[test]
    fn grant_stands_while_its_register_is_free_until_it_is_revoked() {
        let grants = Grants::NEW;
        assert!(grants.set(TIMER, 2, 7));
        assert_eq!(grants.straight(TIMER, 0b100), Some((2, 7)));
        assert_eq!(grants.straight(TIMER, 0b1011), None);
        grants.revoke(TIMER);
        assert_eq!(grants.straight(TIMER, 0b1111), None);
    }

    #[test]
    fn register_out_of_the_vectors_reach_gets_no_grant() {
        let grants = Grants::NEW;
        assert!(!grants.set(TIMER, SLOTS, 7));
        assert_eq!(grants.straight(TIMER, u64::MAX), None);
    }

    #[test]
    fn newer_grant_takes_the_place_of_an_older_and_outlives_its_revocation() {
        let grants = Grants::NEW;
        let other = IntId::new(27 + PHYSICAL as u32);
        assert!(grants.set(TIMER, 0, 1) && grants.set(other, 1, 2));
        grants.revoke(TIMER);
        assert_eq!(grants.straight(TIMER, 0b11), None);
        assert_eq!(grants.straight(other, 0b11), Some((1, 2)));
    }

    #[test]
    fn sgi_and_spi_with_equal_low_bits_do_not_meet() {
        let grants = Grants::NEW;
        assert!(grants.set(IntId::new(1), 0, 1) && grants.set(IntId::new(33), 1, 2));
        assert_eq!(grants.straight(IntId::new(1), 0b11), Some((0, 1)));
        assert_eq!(grants.straight(IntId::new(33), 0b11), Some((1, 2)));
    }

    #[test]
    fn sgi_of_a_gicv2_carries_the_source_of_each_delivery() {
        let grants = Grants::NEW;
        assert!(grants.set(IntId::new(5), 1, 0x5000_0005));
        for (source, value) in [(0, 0x5000_0005), (6, 0x5000_1805)] {
            let delivered = grants.straight_from(VcpuId::new(source), IntId::new(5), 0b10);
            assert_eq!(delivered, Some((1, value)));
        }
    }

    #[test]
    fn empty_table_grants_nothing_not_even_interrupt_zero() {
        let grants = Grants::NEW;
        assert_eq!(grants.straight(IntId::new(0), u64::MAX), None);
        assert_eq!(grants.straight(IntId::new(32), u64::MAX), None);
    }
}
