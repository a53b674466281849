//! What the hardware lacks, and what was asked wrongly.

use super::*;

fn error(behaviour: Behaviour, config: &'static Config) -> IommuError {
    let machine = Machine::new(behaviour);
    let error = SmmuV2::new(machine.hardware.clone(), config).err().unwrap();
    // Whatever is missing, nothing passes.
    machine.hardware.0.borrow_mut().bypassed = false;
    let stuck = matches!(error, IommuError::Stuck(_));
    if !stuck && !matches!(error, IommuError::Lacks(what) if what.contains("registers")) {
        for stream in [0, 0x870, 0x7fff] {
            assert_eq!(machine.write(stream, SEEN), Outcome::Aborted, "{error}");
        }
    }
    error
}

#[test]
fn smmu_without_what_the_tables_need_is_refused() {
    let usual = Behaviour::USUAL;
    for (behaviour, says) in [
        (
            Behaviour {
                idr0: usual.idr0 & !(1 << 29),
                ..usual
            },
            "stage 2",
        ),
        (
            Behaviour {
                idr2: usual.idr2 & !(1 << 12),
                ..usual
            },
            "4 KiB",
        ),
        (
            Behaviour {
                idr0: usual.idr0 & !(1 << 14),
                ..usual
            },
            "coherent",
        ),
        (
            Behaviour {
                idr1: usual.idr1 | 0xff,
                ..usual
            },
            "registers",
        ),
    ] {
        let message = error(behaviour, &MMU_500).to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn smmu_whose_node_promises_no_coherence_walks_past_the_caches() {
    static PLAIN: Config = Config {
        coherent: false,
        ..config(OWNED, IommuKind::Mmu500)
    };
    let machine = Machine::new(Behaviour {
        idr0: Behaviour::USUAL.idr0 & !(1 << 14),
        ..Behaviour::USUAL
    });
    let mut driver = SmmuV2::new(machine.hardware.clone(), &PLAIN).unwrap();
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
}

#[test]
fn more_streams_or_contexts_than_the_hardware_has_are_refused() {
    // One entry for 0x870, one for 0x874 to 0x877, two for 0x880 to 0x882.
    let entries = |count| Behaviour {
        idr0: Behaviour::USUAL.idr0 & !0xff | count,
        ..Behaviour::USUAL
    };
    let too_few = IommuError::TooFew("stream match registers");
    assert_eq!(error(entries(3), &MMU_500), too_few);
    let machine = Machine::new(entries(4));
    assert!(SmmuV2::new(machine.hardware.clone(), &MMU_500).is_ok());

    let banks = |count| Behaviour {
        idr1: Behaviour::USUAL.idr1 & !0xff | count,
        ..Behaviour::USUAL
    };
    assert_eq!(
        error(banks(1), &MMU_500),
        IommuError::TooFew("context banks")
    );
    let machine = Machine::new(banks(2));
    assert!(SmmuV2::new(machine.hardware.clone(), &MMU_500).is_ok());
}

#[test]
fn stream_numbers_and_masks_that_the_hardware_does_not_compare_are_refused() {
    static WIDE_STREAM: Config = config(&[owned(0x8000, 1, 0)], IommuKind::Mmu500);
    static MASKED: Config = config(
        &[OwnedStreams {
            streams: Streams {
                first: StreamId::new(1),
                count: 1,
                ignored: 0x4000,
            },
            ..owned(0, 1, 0)
        }],
        IommuKind::Mmu500,
    );
    let refused = |stream| IommuError::NoSuchStream(StreamId::new(stream));
    assert_eq!(error(Behaviour::USUAL, &WIDE_STREAM), refused(0x8000));
    let narrow = Behaviour {
        match_bits: 0x83ff_83ff,
        ..Behaviour::USUAL
    };
    assert_eq!(error(narrow, &MMU_500), refused(0x870));
    assert_eq!(error(narrow, &MASKED), refused(1));
    static BEYOND: Config = config(&[owned(30, 4, 0)], IommuKind::SmmuV2);
    let indexed = Behaviour {
        idr0: 0xf400_4a00,
        ..Behaviour::USUAL
    };
    assert_eq!(error(indexed, &BEYOND), refused(33));
}

#[test]
fn smmu_that_does_not_answer_is_an_error_and_no_hang() {
    let deaf = Behaviour {
        delay: u32::MAX - 1,
        ..Behaviour::USUAL
    };
    assert_eq!(error(deaf, &MMU_500), IommuError::Stuck(0x74));
}

#[test]
fn attach_that_is_not_synchronized_leaves_the_stream_denied() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    machine.hardware.0.borrow_mut().behaviour.delay = u32::MAX - 1;
    let stuck = Err(IommuError::Stuck(0x74));
    assert_eq!(driver.attach(FIRST, &machine.domain(0)), stuck);
    assert_eq!(machine.write(0x870, SEEN), Outcome::Aborted);
    machine.hardware.0.borrow_mut().behaviour.delay = 0;
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
}

#[test]
fn attach_refuses_other_streams_a_second_owner_and_addresses_too_wide() {
    let machine = Machine::new(Behaviour {
        // 40 bits in.
        idr2: 0x5552,
        ..Behaviour::USUAL
    });
    let mut driver = machine.driver();
    let part = Streams::one(StreamId::new(0x875));
    let none = Err(IommuError::NoSuchStream(part.first));
    assert_eq!(driver.attach(part, &machine.domain(1)), none);
    driver.attach(SECOND, &machine.domain(1)).unwrap();
    let attached = |streams: Streams| {
        let (stream, owner) = (streams.first, Vmid::new(2));
        Err(IommuError::Attached { stream, owner })
    };
    assert_eq!(driver.attach(SECOND, &machine.domain(1)), attached(SECOND));
    // Of the same partition, and so of the same context bank.
    assert_eq!(driver.attach(THIRD, &machine.domain(0)), attached(THIRD));
    let wide = Domain {
        ipa_bits: 42,
        ..machine.domain(0)
    };
    assert_eq!(driver.attach(FIRST, &wide), Err(IommuError::IpaBits(42)));
    let far = Domain {
        vmid: Vmid::new(0x101),
        ..machine.domain(0)
    };
    assert!(matches!(
        driver.attach(FIRST, &far),
        Err(IommuError::Lacks(_))
    ));
    let not = Err(IommuError::NotAttached(FIRST.first));
    assert_eq!(driver.detach(FIRST), not);
    assert_eq!(machine.write(0x870, SEEN), Outcome::Aborted);
    assert_eq!(machine.write(0x874, SEEN), Outcome::Reached(HELD[1]));
}
