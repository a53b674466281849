//! The board's Interrupt Translation Service, with memory for its tables and for the LPIs of each pCPU.

use core::cell::UnsafeCell;

use gic::GicError;
use gic::phys::its::{ControlFrame, Its, ItsMemory};
use gic::phys::lpi::PendingTable;
use gic::virt::its::{self as virt, Change, Device, Translation};
use gic::virt::{Interrupt, MOST_LPIS, Vgic};
use hv::arch::aarch64::boot::physical;
use hv::arch::aarch64::cache;
use hv::sync::{BootCell, Rank, TicketLock};
use model::Mpidr;
use model::its::VirtualIts;
use static_cell::ConstStaticCell;

use super::driver;
use crate::SYSTEM;
use crate::storage::PCPUS;

/// Partitions with an ITS of their own.
const USERS: usize = SYSTEM.its_users();
/// Devices that they can have in use at the same time.
const TABLES: usize = USERS * VirtualIts::TABLES as usize;

/// Memory that belongs to the hardware once its address is told.
#[repr(transparent)]
struct Given<T>(UnsafeCell<T>);

// SAFETY: Rust code makes no reference to the content; the one driver, behind its lock, uses the address.
unsafe impl<T> Sync for Given<T> {}

static MEMORY: Given<ItsMemory<TABLES>> = Given(UnsafeCell::new(ItsMemory::new()));
static PENDING: [Given<PendingTable>; PCPUS] =
    [const { Given(UnsafeCell::new(PendingTable::new())) }; PCPUS];
static ITS: BootCell<TicketLock<Its<ControlFrame>>> = BootCell::new();
/// Where the hardware sees the first of the pending tables.
static PENDING_LIE: BootCell<u64> = BootCell::new();

static LPIS: ConstStaticCell<[[Interrupt; MOST_LPIS]; USERS]> =
    ConstStaticCell::new([[Interrupt::ROOM; MOST_LPIS]; USERS]);
static TRANSLATIONS: ConstStaticCell<[[Translation; MOST_LPIS]; USERS]> =
    ConstStaticCell::new([[Translation::NONE; MOST_LPIS]; USERS]);
static DEVICES: ConstStaticCell<[[Device; VirtualIts::TABLES as usize]; USERS]> =
    ConstStaticCell::new([[Device::NONE; VirtualIts::TABLES as usize]; USERS]);

/// Brings the ITS up, on the boot CPU. `load` is where the image lies.
///
/// # Errors
/// It does not answer, or is not as it must be.
pub fn init(load: u64) -> Result<(), GicError> {
    let Some(base) = SYSTEM.board.its else {
        return Ok(());
    };
    let memory = MEMORY.0.get();
    let lies = physical(memory as u64, load);
    // SAFETY: the device tree says that an ITS is there, `map` maps its frame where it is, for ever, and the memory is used here only.
    let mut its = unsafe { Its::new(base.get() as usize, memory, lies) };
    its.init()?;
    // The boot CPU does this once.
    let _ = PENDING_LIE.set(physical(PENDING.as_ptr() as u64, load));
    let _ = ITS.set(TicketLock::new(Rank::Its, its));
    Ok(())
}

/// Turns LPIs on at this pCPU, which has run `init_cpu`.
///
/// # Errors
/// It has none, or firmware's cannot be turned off.
pub fn init_cpu(index: usize) -> Result<(), GicError> {
    let (Some(its), Some(first), Some(table)) = (ITS.get(), PENDING_LIE.get(), PENDING.get(index))
    else {
        return Ok(());
    };
    let size = size_of::<PendingTable>() as u64;
    cache::clean(table.0.get() as u64, size);
    let properties = its.lock().properties();
    driver().init_lpis(properties, first + index as u64 * size)
}

/// Does what a partition's virtual ITS asks of the physical one.
pub fn translate(change: Change, cpu: Mpidr) -> bool {
    let Some(mut its) = ITS.get().map(TicketLock::lock) else {
        return false;
    };
    let target = driver().lpi_target(cpu, its.targets_by_address());
    target.is_some_and(|target| its.change(change, target))
}

/// Gives their ITS to the partitions that have one.
pub struct Shares {
    lpis: &'static mut [[Interrupt; MOST_LPIS]],
    translations: &'static mut [[Translation; MOST_LPIS]],
    devices: &'static mut [[Device; VirtualIts::TABLES as usize]],
}

impl Shares {
    /// All of them; once.
    pub fn take() -> Self {
        Self {
            lpis: LPIS.take(),
            translations: TRANSLATIONS.take(),
            devices: DEVICES.take(),
        }
    }

    /// The controller of a partition, with the ITS that `config` says. `None` when there are fewer shares than partitions that want one.
    pub fn give(&mut self, vgic: Vgic, config: Option<&'static VirtualIts>) -> Option<Vgic> {
        let Some(config) = config else {
            return Some(vgic);
        };
        let lpis = self.lpis.split_off_first_mut()?;
        let translations = self.translations.split_off_first_mut()?;
        let devices = self.devices.split_off_first_mut()?;
        Some(vgic.with_its(virt::Its::new(config, translations, devices), lpis))
    }
}
