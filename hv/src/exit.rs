//! Exits: the reasons for which a guest enters the hypervisor, as the core sees them, and what each has cost so far.

use core::sync::atomic::{AtomicU64, Ordering};
use model::Ipa;

pub use model::device::Width;
pub use model::exit::ExitKind;

/// What a guest did. Decoded by the architecture; handled by [`vcpu`](crate::vcpu).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A call to the hypervisor.
    Hypercall {
        /// The number in the instruction; 0 in every call that is defined.
        immediate: u16,
    },
    /// A call to the firmware.
    FirmwareCall {
        /// The number in the instruction; 0 in every call that is defined.
        immediate: u16,
    },
    /// A trapped system register.
    SystemRegister(RegisterTransfer),
    /// An access outside the guest's memory that carries all that emulation needs.
    Mmio(MmioAccess),
    /// A data access that cannot be emulated.
    DataAbort {
        /// Where.
        ipa: Ipa,
        /// A write.
        write: bool,
        /// Why.
        cause: AbortCause,
    },
    /// A jump to what the guest may not execute.
    InstructionAbort {
        /// Where to.
        ipa: Ipa,
        /// Why.
        cause: AbortCause,
    },
    /// Waiting for an interrupt or event, where that is trapped.
    #[cfg(any(feature = "v2", feature = "shared"))]
    Wait,
    /// The use of floating point, where that is trapped.
    #[cfg(feature = "shared")]
    FloatingPoint,
    /// Anything else: the guest gets an Undefined Instruction exception.
    Undefined,
}

/// Why an abort happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortCause {
    /// Nothing is mapped there.
    Translation,
    /// It is mapped, not for this.
    Permission,
    /// The address is wider than the partition's address space.
    AddressSize,
    /// The fault is on a walk of the guest's own tables.
    TableWalk,
    /// The bus answered with an error.
    External,
    /// It is not aligned to its width, and an emulated device is there.
    Alignment,
    /// Atomics, parity and the rest.
    Other,
}

/// A load or store that the hypervisor may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmioAccess {
    /// Where.
    pub ipa: Ipa,
    /// How many bytes.
    pub width: Width,
    /// A store.
    pub write: bool,
    /// General register that is stored or loaded; 31 is zero.
    pub register: u8,
    /// A load sign-extends.
    pub sign_extend: bool,
    /// A load fills 64 bits of the register rather than 32.
    pub wide_register: bool,
}

impl MmioAccess {
    /// Ok for an access that is aligned to its width. Another one would straddle registers; on Device memory it is an alignment fault (Arm ARM B2.9).
    pub(crate) fn aligned(&self) -> Result<(), AbortCause> {
        let width = u64::from(self.width.bytes());
        let aligned = self.ipa.get().is_multiple_of(width);
        aligned.then_some(()).ok_or(AbortCause::Alignment)
    }

    /// What a load leaves in its register when the device answers `value`.
    pub const fn loaded(&self, value: u64) -> u64 {
        let bits = self.width.bytes() * 8;
        let value = if bits == 64 {
            value
        } else {
            value & ((1 << bits) - 1)
        };
        if !self.sign_extend || bits == 64 {
            return value;
        }
        let shift = 64 - bits;
        let extended = (((value << shift) as i64) >> shift) as u64;
        if self.wide_register {
            extended
        } else {
            extended & 0xffff_ffff
        }
    }
}

/// A trapped system-register access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterTransfer {
    /// Which register, in the architecture's encoding.
    pub encoding: u16,
    /// General register that is read or written; 31 is zero.
    pub register: u8,
    /// The guest writes the system register.
    pub write: bool,
}

/// Costs are sorted into quarter octaves of `ticks + 4`: 4 classes for each power of two, up to 2^18 and beyond.
const CLASSES: usize = 64;

/// Count and cost of one kind of exit of one virtual CPU. Written only by the pCPU that runs it, read by whoever prints a report.
#[derive(Debug)]
pub struct Cost {
    /// Exits that were answered on a fixed path without lock, loop or wait: counted, not timed.
    short: AtomicU64,
    total: AtomicU64,
    max: AtomicU64,
    classes: [AtomicU64; CLASSES],
}

impl Cost {
    /// Nothing counted yet.
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "a value to start from, copied wherever it is named"
    )]
    pub const NEW: Self = Self {
        short: AtomicU64::new(0),
        total: AtomicU64::new(0),
        max: AtomicU64::new(0),
        classes: [const { AtomicU64::new(0) }; CLASSES],
    };

    /// Adds one exit that took `ticks`. Plain loads and stores: there is one writer.
    #[inline]
    pub fn add(&self, ticks: u64) {
        bump(&self.total, ticks);
        if ticks > self.max.load(Ordering::Relaxed) {
            self.max.store(ticks, Ordering::Relaxed);
        }
        if let Some(class) = self.classes.get(class_of(ticks)) {
            bump(class, 1);
        }
    }

    /// Adds one exit whose path is fixed.
    #[inline]
    pub fn add_short(&self) {
        bump(&self.short, 1);
    }

    /// What was counted, with `other`'s added where it is given.
    pub fn sum<'a>(costs: impl Iterator<Item = &'a Self> + Clone) -> CostSummary {
        let mut summary = CostSummary::default();
        for cost in costs.clone() {
            summary.short += cost.short.load(Ordering::Relaxed);
            summary.timed += cost.timed();
            summary.total += cost.total.load(Ordering::Relaxed);
            summary.max = summary.max.max(cost.max.load(Ordering::Relaxed));
        }
        summary.p999 = quantile(&costs, summary.timed / 1000).min(summary.max);
        summary.p50 = quantile(&costs, summary.timed / 2).min(summary.max);
        summary
    }

    fn timed(&self) -> u64 {
        self.classes
            .iter()
            .map(|class| class.load(Ordering::Relaxed))
            .sum()
    }
}

/// The cost that at most `beyond` exits exceed, exact to a class.
fn quantile<'a>(costs: &(impl Iterator<Item = &'a Cost> + Clone), beyond: u64) -> u64 {
    let mut above = 0;
    for class in (0..CLASSES).rev() {
        above += costs
            .clone()
            .filter_map(|cost| cost.classes.get(class))
            .map(|n| n.load(Ordering::Relaxed))
            .sum::<u64>();
        if above > beyond {
            return upper_bound(class);
        }
    }
    0
}

/// Counts and costs of several virtual CPUs together. Ticks are those of the system counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostSummary {
    /// Exits that were counted and not timed: see [`Cost::add_short`].
    pub short: u64,
    /// Exits that were timed; the rest is about these.
    pub timed: u64,
    /// Ticks spent in all of them.
    pub total: u64,
    /// Upper bound of the cost of half of them, exact to a quarter octave.
    pub p50: u64,
    /// Upper bound of the cost of 99.9 % of them, exact to a quarter octave.
    pub p999: u64,
    /// The dearest one.
    pub max: u64,
}

impl CostSummary {
    /// All exits.
    pub const fn count(&self) -> u64 {
        self.short + self.timed
    }
}

#[inline]
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}

/// Quarter octave of a cost; the last class is open above. Adding 4 spares the smallest costs, which have no quarters, a case of their own.
#[inline]
const fn class_of(ticks: u64) -> usize {
    let n = ticks.saturating_add(4);
    let shift = 61 - n.leading_zeros();
    let class = shift as usize * 4 + (n >> shift) as usize - 4;
    if class < CLASSES { class } else { CLASSES - 1 }
}

/// The largest cost that falls into a class; without end for the last one.
const fn upper_bound(class: usize) -> u64 {
    if class == CLASSES - 1 {
        return u64::MAX;
    }
    let quarter = (class % 4) as u64;
    ((quarter + 5) << (class / 4)) - 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(width: Width, sign_extend: bool, wide_register: bool) -> MmioAccess {
        MmioAccess {
            ipa: Ipa::new(0),
            width,
            write: false,
            register: 0,
            sign_extend,
            wide_register,
        }
    }

    #[test]
    fn load_keeps_only_the_bytes_of_its_width() {
        assert_eq!(access(Width::Byte, false, false).loaded(0x1234_56ff), 0xff);
        assert_eq!(
            access(Width::Double, false, true).loaded(u64::MAX),
            u64::MAX
        );
    }

    #[test]
    fn signed_load_extends_to_the_register_it_names() {
        assert_eq!(access(Width::Byte, true, false).loaded(0x80), 0xffff_ff80);
        assert_eq!(
            access(Width::Half, true, true).loaded(0x8000),
            0xffff_ffff_ffff_8000
        );
    }

    #[test]
    fn classes_are_ordered_and_bounds_belong_to_them() {
        for ticks in 0..100_000u64 {
            let class = class_of(ticks);
            assert!(class_of(ticks + 1) >= class);
            assert!(ticks <= upper_bound(class));
            assert!(class == 0 || ticks > upper_bound(class - 1));
        }
    }

    #[test]
    fn exit_on_a_fixed_path_is_counted_and_moves_no_figure() {
        let cost = Cost::NEW;
        cost.add(100);
        cost.add_short();
        let summary = Cost::sum(core::iter::once(&cost));
        assert_eq!((summary.timed, summary.short), (1, 1));
        assert_eq!((summary.total, summary.p50, summary.max), (100, 100, 100));
    }

    #[test]
    fn one_outlier_in_ten_thousand_moves_max_but_not_p999() {
        let cost = Cost::NEW;
        for _ in 0..10_000 {
            cost.add(100);
        }
        cost.add(60_000);
        let summary = Cost::sum(core::iter::once(&cost));
        assert_eq!(summary.max, 60_000);
        assert!(summary.p999 >= 100 && summary.p999 < 128);
        assert_eq!(summary.p50, summary.p999);
        assert_eq!((summary.timed, summary.short), (10_001, 0));
    }
}
