//! The drivers on controllers with one Security state, and with two where Secure firmware keeps some interrupts, as it does on most boards.

use super::views::{
    EXTENDED, FIRST_SECURE_SGI, INTERRUPTS, LEFT, LEFT_EXTENDED, Line, SECURE, SECURE_EXTENDED,
    Shared, machine,
};
use super::*;

/// An SPI of a partition.
const SPI: IntId = IntId::new(50);
/// An SGI of the hypervisor.
const KICK: IntId = IntId::new(0);

fn v2(secure: bool) -> (GicV2, Shared) {
    let table = Box::leak(Box::new(CpuTable::new()));
    machine(2, secure, |[distributor, cpu, control]| {
        // SAFETY: the frames are played, on this thread.
        unsafe { GicV2::with_table(distributor, cpu, control, table) }
    })
}

fn v3(secure: bool) -> (GicV3, Shared) {
    let table = Box::leak(Box::new(CpuTable::new()));
    machine(3, secure, |[distributor, redistributor, _]| {
        let region = PhysicalRange {
            base: Pa::new(redistributor as u64),
            size: 0x2_0000,
        };
        // SAFETY: the frames are played, on this thread.
        unsafe { GicV3::with_table(distributor, vec![region].leak(), None, table) }
    })
}

/// `ICC_CTLR_EL1.ExtRange`.
const EXTENDED_RANGE: u64 = 1 << 19;

/// A GICv3 ends by a system register, which is storage.
fn drop_priority(gic: impl InterruptController, model: &Shared, taken: Acknowledged) {
    gic.drop_priority(taken);
    if gic.frames().is_none() {
        model.borrow_mut().running.pop();
    }
}

/// Tests of a driver that has come up on a controller, with either version and with one Security state or two.
macro_rules! on_each {
    ($(fn $name:ident($gic:ident, $model:ident, $secure:ident) $body:block)+) => {
        $(
            #[test]
            fn $name() {
                fn check<G: InterruptController>($gic: G, $model: &Shared, $secure: bool) {
                    assert_eq!($gic.init_distributor(), Ok(()));
                    assert_eq!($gic.init_cpu(), Ok(()));
                    $body
                }
                let _lock = SYSTEM_REGISTERS.lock().unwrap_or_else(PoisonError::into_inner);
                run_on(FIRST);
                for secure in [false, true] {
                    let (gic, model) = v2(secure);
                    check(gic, &model, secure);
                    let (gic, model) = v3(secure);
                    sysreg::icc_ctlr::write(EXTENDED_RANGE);
                    check(gic, &model, secure);
                }
            }
        )+
    };
}

on_each! {
    fn bring_up_takes_over_what_firmware_leaves_and_nothing_else(_gic, model, secure) {
        let mut model = model.borrow_mut();
        let kept = Line {
            enabled: true,
            priority: 0x10,
            ..Line::default()
        };
        assert_eq!(*model.line(SECURE) == kept, secure);
        let left = *model.line(LEFT);
        assert_eq!((left.enabled, left.pending, left.active), (false, false, false));
        for intid in (0..INTERRUPTS).map(IntId::new).filter(|intid| intid.is_sgi()) {
            assert!(model.line(intid).enabled, "{intid:?}");
        }
    }

    fn interrupts_get_a_priority_below_those_of_secure_firmware(_gic, model, secure) {
        let mut model = model.borrow_mut();
        let expected = if secure { 0xd0 } else { 0xa0 };
        assert_eq!([KICK, SPI, LEFT].map(|intid| model.line(intid).priority), [expected; 3]);
    }

    fn passed_through_interrupt_comes_once_and_again_after_its_end(gic, model, _secure) {
        gic.set_trigger(SPI, Trigger::Edge);
        gic.route(SPI, FIRST);
        model.borrow_mut().line(SPI).pending = true;
        assert!(gic.is_pending(SPI));
        assert_eq!(model.borrow_mut().acknowledge(), 1023, "it is disabled");

        gic.enable(SPI);
        let raw = model.borrow_mut().acknowledge();
        let taken = gic.acknowledged(raw).unwrap();
        assert_eq!(taken.intid, SPI);
        model.borrow_mut().line(LEFT).pending = true;
        gic.enable(LEFT);
        assert_eq!(model.borrow_mut().acknowledge(), 1023, "its priority runs");
        drop_priority(gic, model, taken);
        assert_eq!(model.borrow_mut().acknowledge(), LEFT.get());

        model.borrow_mut().line(SPI).pending = true;
        gic.deactivate_physical(SPI);
        model.borrow_mut().running.clear();
        assert_eq!(model.borrow_mut().acknowledge(), SPI.get());
        gic.disable(SPI);
        assert!(!model.borrow_mut().line(SPI).enabled);
    }

    fn kick_arrives(gic, model, _secure) {
        if gic.frames().is_some() {
            gic.kick(FIRST, KICK);
            assert_eq!(model.borrow_mut().acknowledge(), KICK.get());
        }
    }

    fn interrupt_that_secure_firmware_keeps_is_not_available(gic, _model, secure) {
        let sgi = IntId::new(FIRST_SECURE_SGI);
        assert_eq!([SECURE, sgi].map(|intid| gic.is_available(intid)), [!secure; 2]);
        assert!([SPI, KICK, IntId::new(27)].iter().all(|intid| gic.is_available(*intid)));
        assert!(!gic.is_available(IntId::new(INTERRUPTS)), "there is no such interrupt");
    }

    fn secure_interrupt_stays_as_it_is_whatever_is_asked(gic, model, secure) {
        if secure {
            let before = *model.borrow_mut().line(SECURE);
            gic.disable(SECURE);
            gic.set_trigger(SECURE, Trigger::Edge);
            gic.clear_pending(SECURE);
            gic.deactivate_physical(SECURE);
            assert_eq!(*model.borrow_mut().line(SECURE), before);
        }
    }
}

/// A GICv3 with extended SPIs whose driver has come up; the lock is for the system registers, which are one set for all tests.
fn extended(secure: bool) -> (GicV3, Shared, MutexGuard<'static, ()>) {
    let lock = SYSTEM_REGISTERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    run_on(FIRST);
    let (gic, model) = v3(secure);
    sysreg::icc_ctlr::write(EXTENDED_RANGE);
    assert_eq!(gic.init_distributor(), Ok(()));
    assert_eq!(gic.init_cpu(), Ok(()));
    (gic, model, lock)
}

/// An extended SPI of a partition.
const EXTENDED_SPI: IntId = IntId::new(4159);

#[test]
fn extended_spis_come_up_as_ordinary_ones_and_those_of_secure_firmware_stay() {
    for secure in [false, true] {
        let (_gic, model, _lock) = extended(secure);
        let mut model = model.borrow_mut();
        let priority = if secure { 0xd0 } else { 0xa0 };
        let fresh = Line {
            group1: true,
            priority,
            ..Line::default()
        };
        for intid in [LEFT_EXTENDED, EXTENDED_SPI, IntId::new(4096)] {
            assert_eq!(*model.line(intid), fresh, "{intid:?}");
        }
        assert_eq!(model.line(SECURE_EXTENDED).priority == 0x10, secure);
    }
}

#[test]
fn extended_spi_comes_once_and_again_after_its_end() {
    for secure in [false, true] {
        let (gic, model, _lock) = extended(secure);
        gic.set_trigger(EXTENDED_SPI, Trigger::Edge);
        gic.route(EXTENDED_SPI, SECOND);
        model.borrow_mut().line(EXTENDED_SPI).pending = true;
        assert!(gic.is_pending(EXTENDED_SPI));
        assert_eq!(model.borrow_mut().acknowledge(), 1023, "it is disabled");

        gic.enable(EXTENDED_SPI);
        let raw = model.borrow_mut().acknowledge();
        let taken = gic.acknowledged(raw).unwrap();
        assert_eq!(taken.intid, EXTENDED_SPI);
        drop_priority(gic, &model, taken);
        let line = *model.borrow_mut().line(EXTENDED_SPI);
        assert_eq!(
            (line.edge, line.active, line.target),
            (true, true, SECOND.get())
        );

        gic.deactivate_physical(EXTENDED_SPI);
        model.borrow_mut().line(EXTENDED_SPI).pending = true;
        gic.clear_pending(EXTENDED_SPI);
        assert!(!gic.is_pending(EXTENDED_SPI));
        model.borrow_mut().line(EXTENDED_SPI).pending = true;
        assert_eq!(model.borrow_mut().acknowledge(), EXTENDED_SPI.get());
        gic.disable(EXTENDED_SPI);
        assert!(!model.borrow_mut().line(EXTENDED_SPI).enabled);
    }
}

#[test]
fn extended_spi_that_is_not_there_or_secure_is_not_available() {
    for secure in [false, true] {
        let (gic, _model, _lock) = extended(secure);
        assert!(gic.is_available(EXTENDED_SPI));
        assert_eq!(gic.is_available(SECURE_EXTENDED), !secure);
        assert!(!gic.is_available(IntId::new(4096 + EXTENDED)));
    }
}

#[test]
fn cpu_that_takes_no_extended_numbers_is_refused_where_there_are_extended_spis() {
    let (gic, _model, _lock) = extended(false);
    sysreg::icc_ctlr::write(0);
    assert_eq!(gic.init_cpu(), Err(GicError::ExtendedRangeMissing(FIRST)));
}
