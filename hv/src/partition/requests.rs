//! What other pCPUs ask of a virtual CPU: one word, and who sent the SGIs in it.
//!
//! `tests/loom` tries all interleavings.

use super::atomic::{AtomicU8, AtomicU32, Ordering};

/// What may be asked for; bits of [`Requests::word`].
pub mod request {
    /// Its virtual interrupts have changed.
    pub const INTERRUPTS: u32 = 1 << 0;
    /// Its power state has changed: it may have to stop or to start.
    pub const POWER: u32 = 1 << 1;
    // Bit 2 is the health monitor's, bit 3 asks for its registers.
    /// SGIs that another virtual CPU has sent it and that it has yet to take: bit 16 is SGI 0. Who sent it, where that matters, is in
    /// [`Requests::sources`](super::Requests).
    pub const SGIS: u32 = 0xffff << FIRST_SGI;
    /// Where [`SGIS`] begin. The exit vectors know it, and find the number of a sole SGI by counting leading zeros.
    pub const FIRST_SGI: u32 = 16;
}

/// What others ask of a virtual CPU, as the exit vectors find it: nothing at first.
///
/// A sender enters itself in `sources` first and in `word` last, a receiver takes the SGI out of `word` first: so whoever stands in `sources`
/// after that has its SGI delivered now, or its bit in `word` set again.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Requests {
    /// The bits of [`request`].
    pub(crate) word: AtomicU32,
    /// For each SGI of a GICv2 the virtual CPUs that sent it, a bit each.
    pub(crate) sources: [AtomicU8; 16],
}

impl Requests {
    /// Leaves a request; whoever does so calls the pCPU afterwards. Returns what was asked for before.
    #[inline]
    pub fn leave(&self, what: u32) -> u32 {
        self.word.fetch_or(what, Ordering::Release)
    }

    /// Leaves SGI `sgi` of a GICv2 from virtual CPU `source`, 0 to 7; otherwise as [`leave`](Self::leave).
    #[cfg(feature = "virtual-v2")]
    #[inline]
    pub fn leave_sgi(&self, source: u8, sgi: u32) -> u32 {
        if let Some(sources) = self.sources.get(sgi as usize) {
            sources.fetch_or(1 << (source & 7), Ordering::Relaxed);
        }
        self.leave(1 << (request::FIRST_SGI + sgi))
    }

    /// True when something was asked for.
    #[inline]
    pub fn any(&self) -> bool {
        self.word.load(Ordering::Relaxed) != 0
    }

    /// Takes what was asked for.
    #[inline]
    pub fn take(&self) -> u32 {
        self.word.swap(0, Ordering::Acquire)
    }

    /// Takes the SGIs that were sent and not yet taken: bit n is SGI n.
    pub fn take_sgis(&self) -> u32 {
        if self.word.load(Ordering::Relaxed) & request::SGIS == 0 {
            return 0;
        }
        let before = self.word.fetch_and(!request::SGIS, Ordering::Acquire);
        before >> request::FIRST_SGI
    }

    /// Takes the virtual CPUs that sent SGI `sgi` of a GICv2, bit n for CPU n, after the SGI itself was taken.
    #[cfg(feature = "virtual-v2")]
    pub fn take_sources(&self, sgi: u32) -> u8 {
        let sources = self.sources.get(sgi as usize);
        sources.map_or(0, |sources| sources.swap(0, Ordering::Acquire))
    }
}

/// Whether a shared pCPU must be called when `what` is asked for and `before` was asked already: one that was called looks at all requests and leaves
/// them until the virtual CPU has its turn, so to call it again would only take time from whoever runs.
#[inline(always)]
pub const fn is_news(before: u32, what: u32) -> bool {
    before & what != what
}
