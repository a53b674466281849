//! What the image does with each IOMMU at boot, against the register models.

use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use model::memory::PhysicalRange;
use model::{Pa, PartitionId, StreamId};

use super::*;
use crate::memory::PAGE_WORDS;
use crate::{v2::register_model as two, v3::register_model as three};

const OWNED: &[OwnedStreams] = &[OwnedStreams {
    streams: Streams::one(StreamId::new(8)),
    partition: PartitionId::new(0),
    device: "/device",
}];

const fn config(kind: IommuKind, owned: &'static [OwnedStreams]) -> Config {
    Config {
        path: "/smmu",
        kind,
        registers: PhysicalRange {
            base: Pa::new(0),
            size: 0x2_0000,
        },
        instances: &[],
        coherent: true,
        interrupts: &[],
        owned,
    }
}

/// Pages of zeros, as the tests' hardware reads them; tables lie behind the driver's own.
fn words() -> Rc<[AtomicU64]> {
    (0..16 * PAGE_WORDS).map(|_| AtomicU64::new(0)).collect()
}

/// Nothing is mapped, so that what an attached stream tries faults in its partition's tables.
const DOMAIN: Domain = Domain {
    vmid: Vmid::new(1),
    root: Pa::new(three::MEMORY + 8 * 4096),
    ipa_bits: 40,
};

/// Starts it as the image does. Attached, its stream's fault is one of the tables; detached, one of the stream.
fn starts_and_serves<R: RegisterFrame + Clone>(
    registers: R,
    config: &'static Config,
    words: &Rc<[AtomicU64]>,
    access: impl Fn(),
) {
    // The memory that an image has for ever.
    let kept: &'static [AtomicU64] = Box::leak(Box::new(words.clone()));
    let own = &kept[..pages(config.kind, config.owned) * PAGE_WORDS];
    let mut memory = SharedMemory::new(own, Pa::new(three::MEMORY));
    let mut driver = Driver::start(&mut |_| registers.clone(), config, &mut memory)
        .unwrap()
        .unwrap();
    let streams = config.owned[0].streams;
    driver.attach(streams, &DOMAIN).unwrap();
    access();
    let cause = driver.next_fault().map(|fault| fault.cause);
    assert_eq!(cause, Some(crate::Cause::Translation), "{:?}", config.kind);
    driver.invalidate(DOMAIN.vmid).unwrap();
    driver.detach(streams).unwrap();
    access();
    let cause = driver.next_fault().map(|fault| fault.cause);
    assert_ne!(cause, Some(crate::Cause::Translation), "{:?}", config.kind);
    assert_eq!(driver.next_failure(), None);
}

#[test]
fn iommu_of_each_kind_is_started_attached_and_detached() {
    static THREE: [Config; 2] = [
        config(IommuKind::SmmuV3, OWNED),
        config(IommuKind::SmmuV3OnePage, OWNED),
    ];
    for config in &THREE {
        let words = words();
        let behaviour = three::Behaviour {
            one_page: config.kind == IommuKind::SmmuV3OnePage,
            ..three::Behaviour::USUAL
        };
        let hardware = three::Model::with_memory(behaviour, words.clone());
        starts_and_serves(hardware.clone(), config, &words, || {
            let outcome = hardware.0.borrow_mut().access(8, 0x4000_0000, true);
            assert_eq!(outcome, three::Outcome::Aborted);
        });
    }
    static TWO: [Config; 2] = [
        config(IommuKind::SmmuV2, OWNED),
        config(IommuKind::Mmu500, OWNED),
    ];
    for config in &TWO {
        let words = words();
        let behaviour = two::Behaviour::USUAL;
        let hardware = two::Model::with_memory(behaviour, words.clone(), two::Tlb::default());
        starts_and_serves(hardware.clone(), config, &words, || {
            let outcome = hardware.0.borrow_mut().access(8, 0x4000_0000, true);
            assert_eq!(outcome, two::Outcome::Aborted);
        });
    }
}

#[test]
fn iommu_of_each_kind_that_nobody_uses_denies_everything_for_ever() {
    let mut none = SharedMemory::new(&[], Pa::new(0));
    static THREE: Config = config(IommuKind::SmmuV3, &[]);
    let hardware = three::Model::with_memory(three::Behaviour::USUAL, words());
    let found = Driver::start(&mut |_| hardware.clone(), &THREE, &mut none);
    assert!(matches!(found, Ok(None)));
    let outcome = hardware.0.borrow_mut().access(8, 0, false);
    assert_eq!(outcome, three::Outcome::Aborted);

    static TWO: Config = config(IommuKind::Mmu500, &[]);
    let hardware = two::Model::with_memory(two::Behaviour::USUAL, words(), two::Tlb::default());
    let found = Driver::start(&mut |_| hardware.clone(), &TWO, &mut none);
    assert!(matches!(found, Ok(None)));
    let outcome = hardware.0.borrow_mut().access(8, 0, false);
    assert_eq!(outcome, two::Outcome::Aborted);
}
