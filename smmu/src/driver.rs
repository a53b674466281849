//! The drivers behind one type, for an image that may have several kinds of IOMMU.

use model::Vmid;
use model::iommu::{Iommu as Config, IommuKind, OwnedStreams, Streams};
use model::memory::PhysicalRange;

#[cfg(feature = "ipmmu")]
use crate::ipmmu;
#[cfg(feature = "smmuv2")]
use crate::v2::{self, SmmuV2};
#[cfg(feature = "smmuv3")]
use crate::v3::{self, SmmuV3};
use crate::{Domain, Failure, Fault, Iommu, IommuError, RegisterFrame, SharedMemory};

/// Any IOMMU that this image can drive.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each IOMMU, and it stays where it is"
)]
pub enum Driver<R> {
    /// An SMMUv3.
    #[cfg(feature = "smmuv3")]
    SmmuV3(SmmuV3<'static, R>),
    /// An SMMUv2.
    #[cfg(feature = "smmuv2")]
    SmmuV2(SmmuV2<R>),
    /// An IPMMU.
    #[cfg(feature = "ipmmu")]
    Ipmmu(ipmmu::Driver<R>),
}

/// Does the same for whichever driver it is.
macro_rules! each {
    ($driver:expr, $one:ident => $what:expr) => {
        match $driver {
            #[cfg(feature = "smmuv3")]
            Self::SmmuV3($one) => $what,
            #[cfg(feature = "smmuv2")]
            Self::SmmuV2($one) => $what,
            #[cfg(feature = "ipmmu")]
            Self::Ipmmu($one) => $what,
        }
    };
}

/// Pages of [`SharedMemory`] that the IOMMU needs.
pub const fn pages(kind: IommuKind, owned: &[OwnedStreams]) -> usize {
    match kind {
        #[cfg(feature = "smmuv3")]
        IommuKind::SmmuV3 | IommuKind::SmmuV3OnePage => v3::pages(owned),
        // The empty table of what is denied.
        #[cfg(feature = "ipmmu")]
        IommuKind::Ipmmu(_) => 1,
        // It has no tables but those in its registers, or this image has no driver for it, which `start` tells.
        _ => {
            let _ = owned;
            0
        }
    }
}

impl<R: RegisterFrame> Driver<R> {
    /// Denies everything, whatever firmware left; then turns translation on for the owned streams, all of them still denied. `None` when
    /// nobody owns one: the IOMMU denies everything for ever. `frame` gives the registers at an address, each once; its tables take [`pages`]
    /// pages from the front of `memory`, which are zeros, also to an IOMMU that does not look into caches.
    ///
    /// # Errors
    /// [`IommuError`], also when the image lacks the driver.
    pub fn start(
        frame: &mut impl FnMut(PhysicalRange) -> R,
        config: &'static Config,
        memory: &mut SharedMemory<'static>,
    ) -> Result<Option<Self>, IommuError> {
        // Not each kind takes all of them.
        let _ = (&frame, &memory);
        match config.kind {
            #[cfg(feature = "smmuv3")]
            IommuKind::SmmuV3 | IommuKind::SmmuV3OnePage if config.owned.is_empty() => {
                v3::deny_all(&mut frame(config.registers))?;
                Ok(None)
            }
            #[cfg(feature = "smmuv3")]
            IommuKind::SmmuV3OnePage => {
                let registers = frame(config.registers);
                let found = SmmuV3::with_page_1(registers, config.owned, memory, 0);
                found.map(|one| Some(Self::SmmuV3(one)))
            }
            #[cfg(feature = "smmuv3")]
            IommuKind::SmmuV3 => {
                let found = SmmuV3::new(frame(config.registers), config.owned, memory);
                found.map(|one| Some(Self::SmmuV3(one)))
            }
            #[cfg(feature = "smmuv2")]
            IommuKind::SmmuV2 | IommuKind::Mmu500 if config.owned.is_empty() => {
                v2::start(&mut frame(config.registers), config)?;
                Ok(None)
            }
            #[cfg(feature = "smmuv2")]
            IommuKind::SmmuV2 | IommuKind::Mmu500 => {
                SmmuV2::new(frame(config.registers), config).map(|one| Some(Self::SmmuV2(one)))
            }
            #[cfg(feature = "ipmmu")]
            IommuKind::Ipmmu(what) => {
                let registers = frame(config.registers);
                let driver = ipmmu::Driver::start(what, registers, frame, config, memory)?;
                Ok((!config.owned.is_empty()).then_some(Self::Ipmmu(driver)))
            }
            #[cfg(not(all(feature = "smmuv2", feature = "smmuv3", feature = "ipmmu")))]
            _ => Err(IommuError::Lacks("a driver in this image")),
        }
    }
}

impl<R: RegisterFrame> Iommu for Driver<R> {
    fn attach(&mut self, streams: Streams, domain: &Domain) -> Result<(), IommuError> {
        each!(self, one => one.attach(streams, domain))
    }

    fn detach(&mut self, streams: Streams) -> Result<(), IommuError> {
        each!(self, one => one.detach(streams))
    }

    fn invalidate(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        each!(self, one => one.invalidate(vmid))
    }

    fn mute(&mut self, streams: Streams) -> Result<(), IommuError> {
        each!(self, one => one.mute(streams))
    }

    fn next_fault(&mut self) -> Option<Fault> {
        each!(self, one => one.next_fault())
    }

    fn discard_faults(&mut self) -> Option<Failure> {
        each!(self, one => one.discard_faults())
    }

    fn next_failure(&mut self) -> Option<Failure> {
        each!(self, one => one.next_failure())
    }
}

#[cfg(test)]
mod tests;
