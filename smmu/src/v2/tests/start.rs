//! What holds before anything is attached, whatever firmware left.

use super::*;

const STREAMS: [u32; 8] = [0, 0x870, 0x874, 0x877, 0x880, 0x883, 0x7fff, 0xffff];

#[test]
fn nothing_passes_before_a_stream_is_attached() {
    let machine = Machine::new(Behaviour::USUAL);
    let _driver = machine.driver();
    for stream in STREAMS {
        assert_eq!(machine.write(stream, SEEN), Outcome::Aborted, "{stream:#x}");
    }
    assert!(!machine.bypassed());
}

#[test]
fn smmu_that_nobody_uses_denies_everything() {
    let machine = Machine::new(Behaviour::USUAL);
    let nobody = config(&[], IommuKind::Mmu500);
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(SEEN));
    super::super::start(&mut machine.hardware.clone(), &nobody).unwrap();
    for stream in STREAMS {
        assert_eq!(machine.write(stream, SEEN), Outcome::Aborted, "{stream:#x}");
    }
    assert!(!machine.interrupts());
}

#[test]
fn streams_that_firmware_left_enabled_are_shut() {
    for extended in [false, true] {
        let mut behaviour = Behaviour::USUAL;
        behaviour.idr0 |= u32::from(extended) << 8;
        let machine = Machine::new(behaviour);
        {
            let mut hardware = machine.hardware.0.borrow_mut();
            // Translating, unmatched streams pass; one entry for all streams leads to bypass, one to a context bank that is off.
            hardware.set_register(0, 2 | u32::from(extended) << 3);
            let (all, valid) = match extended {
                true => (0xfff0_0000, 1 << 10),
                false => (0xfff0_0000, 0),
            };
            hardware.set_entry(0x800, all);
            hardware.set_entry(0xc00, 1 << 16 | valid);
            hardware.set_entry(0x804, all | 1);
            hardware.set_entry(0xc04, 5 | valid);
            hardware.set_register(0x48, 0b10);
        }
        assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(SEEN));
        machine.hardware.0.borrow_mut().bypassed = false;
        let mut driver = machine.driver();
        for stream in STREAMS {
            assert_eq!(machine.write(stream, SEEN), Outcome::Aborted, "{stream:#x}");
        }
        assert!(!machine.bypassed());
        // Its fault of old is forgotten: the first one is ours.
        let first = driver.next_fault().unwrap();
        assert_eq!(first.source, Source::Stream(StreamId::new(STREAMS[0])));
    }
}

#[test]
fn entry_that_firmware_left_enabled_is_never_open_while_the_driver_starts() {
    /// Registers that try an access after each write.
    struct Watched(Handle);
    impl crate::RegisterFrame for Watched {
        fn read(&mut self, offset: usize) -> u32 {
            self.0.read(offset)
        }
        fn write(&mut self, offset: usize, value: u32) {
            self.0.write(offset, value);
            let mut hardware = self.0.0.borrow_mut();
            hardware.access(0x870, SEEN, true);
        }
    }
    let machine = Machine::new(Behaviour::USUAL);
    {
        // Denied by firmware: what it lets pass nowhere must not pass in between.
        let mut hardware = machine.hardware.0.borrow_mut();
        hardware.set_register(0, 2);
        hardware.set_entry(0x800, 0x8000_0870);
        hardware.set_entry(0xc00, 2 << 16);
    }
    SmmuV2::new(Watched(machine.hardware.clone()), &MMU_500).unwrap();
    assert!(!machine.bypassed());
}

#[test]
fn translations_that_firmware_left_in_the_tlb_are_forgotten() {
    let tlb = Tlb::default();
    tlb.borrow_mut().insert((1, SEEN >> 12), 0xbad0_07ff);
    let machine = Machine::with_tlb(Behaviour::USUAL, tlb);
    let _driver = machine.attached();
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
}

#[test]
fn prefetcher_of_an_mmu_500_is_turned_off() {
    for (locked, told) in [(false, None), (true, Some(Failure::Prefetches))] {
        let machine = Machine::new(Behaviour {
            locked,
            ..Behaviour::USUAL
        });
        let mut driver = machine.driver();
        let hardware = machine.hardware.0.borrow();
        for bank in 0..16 {
            let prefetches = hardware.register(hardware.bank(bank) + 4) >> 1 & 1 != 0;
            assert_eq!(prefetches, locked);
        }
        assert_eq!(hardware.register(0x10) >> 8 & 1, 0);
        drop(hardware);
        assert_eq!(driver.next_failure(), told);
        assert_eq!(driver.next_failure(), None);
    }
}

#[test]
fn other_smmuv2_keeps_its_auxiliary_registers() {
    static PLAIN: Config = config(OWNED, IommuKind::SmmuV2);
    let machine = Machine::new(Behaviour::USUAL);
    SmmuV2::new(machine.hardware.clone(), &PLAIN).unwrap();
    let hardware = machine.hardware.0.borrow();
    assert_eq!(hardware.register(0x10), 1 << 26 | 1 << 8);
    assert_eq!(hardware.register(hardware.bank(0) + 4), 0b11);
}
