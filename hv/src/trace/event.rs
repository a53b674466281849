//! What the trace keeps of what the log is told.

use model::trace::{Access, Kind, Who};

use crate::event as told;
use crate::event::FaultKind;

/// An event without its time.
type Kept = (Kind, Who, u64);

/// The same: nothing, one event, or two.
pub(super) fn of(event: &told::Event) -> [Option<Kept>; 2] {
    let one = match *event {
        told::Event::Started {
            partition,
            restarts,
        } => (Kind::STARTED, Who::partition(partition), restarts),
        told::Event::Stopped { partition } => (Kind::STOPPED, Who::partition(partition), 0),
        told::Event::Fault {
            partition,
            vcpu,
            kind,
            address,
            ..
        } => {
            let access = match kind {
                FaultKind::Read(_) => Access::Read,
                FaultKind::Write(_) => Access::Write,
                FaultKind::Execute(_) => Access::Execute,
                FaultKind::SystemError => Access::Unknown,
            };
            (Kind::fault(access), Who::vcpu(partition, vcpu), address)
        }
        told::Event::StrayInterrupt { intid } => (Kind::STRAY, Who::NOBODY, intid.into()),
        #[cfg(feature = "iommu")]
        told::Event::Dma(crate::dma::DmaEvent::Fault {
            partition, fault, ..
        }) => return of_device(partition, &fault),
        #[cfg(feature = "monitor")]
        told::Event::Failed {
            partition, failure, ..
        } => {
            let who = match failure.vcpu {
                Some(vcpu) => Who::vcpu(partition, vcpu),
                None => Who::partition(partition),
            };
            (Kind::failed(failure.class), who, failure.value)
        }
        #[allow(unreachable_patterns, reason = "without features these are all")]
        _ => return [None; 2],
    };
    [Some(one), None]
}

/// An access that an IOMMU refused, and whose it was if the hardware says so.
#[cfg(feature = "iommu")]
fn of_device(partition: Option<model::PartitionId>, fault: &smmu::Fault) -> [Option<Kept>; 2] {
    let access = match fault.access {
        Some(smmu::Access::Read) => Access::Read,
        Some(smmu::Access::Write) => Access::Write,
        None => Access::Unknown,
    };
    let who = partition.map_or(Who::NOBODY, Who::partition);
    let address = fault.address.map_or(0, model::Ipa::get);
    let stream = match fault.source {
        smmu::Source::Stream(stream) => Some((Kind::STREAM, who, stream.get().into())),
        _ => None,
    };
    [Some((Kind::dma_fault(access), who, address)), stream]
}
