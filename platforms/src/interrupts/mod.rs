//! The board's interrupt controller. The system table is a constant and says where it is, so its addresses fold into the code.

#[cfg(feature = "v2")]
mod gicv2;
#[cfg(feature = "v3")]
mod gicv3;
#[cfg(feature = "its")]
pub mod its;

use gic::{
    Acknowledged, Announce, CommonRegister, GicError, InterruptController, ListRegister,
    ListRegisters,
};
use hv::sync::{BootCell, Rank, TicketLock};
use model::device::Trigger;
use model::{IntId, Mpidr};

#[cfg(feature = "v2")]
use gicv2::driver;
#[cfg(feature = "v3")]
use gicv3::driver;

/// The one that the system was built for.
#[derive(Clone, Copy)]
pub struct Gic;

/// Held while a word of triggers is read and written back: it has 16 interrupts, which may be of several partitions.
static TRIGGERS: BootCell<TicketLock<()>> = BootCell::new();

/// Methods that ask the driver.
macro_rules! delegate {
    ($($(#[$inline:meta])? fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)+) => {
        $(
            $(#[$inline])?
            fn $name(&self $(, $argument: $type)*) $(-> $result)? {
                driver().$name($($argument),*)
            }
        )+
    };
}

#[cfg(feature = "self-check")]
mod probe;
#[cfg(feature = "shared")]
mod shared;

impl ListRegisters for Gic {
    delegate! {
        #[inline]
        fn count() -> usize;
        #[inline]
        fn empty() -> u64;
        #[inline]
        fn read(index: usize) -> ListRegister;
        #[inline]
        fn write(index: usize, register: ListRegister);
        #[inline]
        fn image(index: usize, register: ListRegister) -> Option<u64>;
        #[inline(always)]
        fn write_image(index: usize, image: u64);
        fn announce(what: Announce);
        fn running_priority() -> u8;
        #[inline]
        fn splits_ends() -> bool;
    }
}

impl InterruptController for Gic {
    #[cfg(feature = "v2")]
    delegate! {
        fn overlooks_levels() -> bool;
    }

    delegate! {
        fn init_cpu() -> Result<(), GicError>;
        #[inline]
        fn acknowledge() -> Option<Acknowledged>;
        #[inline]
        fn acknowledged(raw: u32) -> Option<Acknowledged>;
        #[inline]
        fn drop_priority(interrupt: Acknowledged);
        #[inline]
        fn deactivate(interrupt: Acknowledged);
        fn deactivate_physical(intid: IntId);
        fn enable(intid: IntId);
        fn disable(intid: IntId);
        fn is_available(intid: IntId) -> bool;
        fn route(intid: IntId, cpu: Mpidr);
        fn is_pending(intid: IntId) -> bool;
        fn clear_pending(intid: IntId);
        fn set_pending(intid: IntId);
        #[inline(always)]
        fn kick(cpu: Mpidr, sgi: IntId);
        fn common_register(register: CommonRegister, written: Option<u64>) -> u64;
        fn frames() -> Option<[usize; 2]>;
        fn look_again();
        fn reset_virtual_interface();
        #[cfg(feature = "legacy")]
        fn withhold_virtual_interface();
    }

    fn init_distributor(&self) -> Result<(), GicError> {
        // Once, on the boot CPU.
        let _ = TRIGGERS.set(TicketLock::new(Rank::Distributor, ()));
        driver().init_distributor()
    }

    fn set_trigger(&self, intid: IntId, trigger: Trigger) {
        let _alone = TRIGGERS.get().map(TicketLock::lock);
        driver().set_trigger(intid, trigger);
    }

    #[cfg(feature = "its")]
    fn translate(&self, change: gic::virt::its::Change, cpu: Mpidr) -> bool {
        its::translate(change, cpu)
    }
}
