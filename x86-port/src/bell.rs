//! Doorbells of channels: who is interrupted by which vector when an end is rung.
//!
//! # Principles
//! - The guest that is rung chooses CPU and vector; the hypervisor sends an interrupt of that vector to that CPU alone. Taking it costs no exit.
//! - One that waits in the local APIC already does not come twice, so a storm of rings costs who makes it one exit each, and the other end one interrupt
//!   for each that it has taken.
//! - A CPU that several virtual CPUs share has a local APIC for itself: a ring is [`Posted`] to the virtual CPU, whose CPU is called for the first that it has
//!   not seen.
//! - Who rings sends while the bell is locked. Once a partition's bells are silenced, nothing that was meant for its earlier run is under way.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hv::sync::{Rank, TicketLock};
use model::x86::End;
use model::{PartitionId, VcpuId};

use crate::policy::interrupt;

/// Who is interrupted, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The partition.
    pub partition: PartitionId,
    /// Which of its virtual CPUs.
    pub vcpu: VcpuId,
    /// The interrupt.
    pub vector: u8,
}

/// The doorbell of an end.
pub struct Bell(TicketLock<Option<Listener>>);

/// A call named an end that the partition does not have, one that nobody can ring, or a vector that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCall;

impl Bell {
    /// One that nobody listens to.
    pub fn new() -> Self {
        Self(TicketLock::new(Rank::Distributor, None))
    }

    /// Nobody listens any more.
    pub fn silence(&self) {
        *self.0.lock() = None;
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

fn end(ends: &[End], number: u64) -> Result<&End, BadCall> {
    let end = usize::try_from(number)
        .ok()
        .and_then(|number| ends.get(number));
    end.ok_or(BadCall)
}

/// Rings the others from the end with this number. `bell` finds a doorbell by its place in the system's list; `send` interrupts a CPU.
///
/// # Errors
/// There is no such end.
pub fn ring<'b>(
    bell: impl Fn(u16) -> Option<&'b Bell>,
    ends: &[End],
    number: u64,
    send: impl Fn(Listener),
) -> Result<(), BadCall> {
    for bell in end(ends, number)?.rings.iter().filter_map(|one| bell(*one)) {
        let listener = bell.0.lock();
        if let Some(listener) = *listener {
            send(listener);
        }
    }
    Ok(())
}

/// Has somebody listen to the end with this number: by the vector 32 to 255 that a guest chooses, 0 for nobody. `of_vector` makes the listener.
///
/// # Errors
/// There is no such end, nobody can ring it, or the vector is an exception's or none.
pub fn listen<'b>(
    bell: impl Fn(u16) -> Option<&'b Bell>,
    ends: &[End],
    number: u64,
    vector: u64,
    of_vector: impl Fn(u8) -> Listener,
) -> Result<(), BadCall> {
    let bell = end(ends, number)?.bell.and_then(bell).ok_or(BadCall)?;
    let vector = interrupt::choice(vector).map_err(|_| BadCall)?;
    *bell.0.lock() = vector.map(of_vector);
    Ok(())
}

/// Interrupts for a virtual CPU whose local APIC is virtual, by who is not its physical CPU or not in its turn: rings, other virtual CPUs. Many post, one CPU
/// takes.
pub struct Posted {
    /// Posted, and not taken by the guest.
    vectors: [AtomicU32; 8],
    /// There are some that the CPU has not seen.
    fresh: AtomicBool,
}

impl Posted {
    /// Nobody has posted any.
    pub const fn new() -> Self {
        Self {
            vectors: [const { AtomicU32::new(0) }; 8],
            fresh: AtomicBool::new(false),
        }
    }

    fn place(&self, vector: u8) -> (Option<&AtomicU32>, u32) {
        (
            self.vectors.get(usize::from(vector / 32)),
            1 << (vector % 32),
        )
    }

    /// Posts one. True when the CPU is to be called: it has seen all earlier ones, and the guest has taken those by this vector.
    pub fn post(&self, vector: u8) -> bool {
        let (word, bit) = self.place(vector);
        let is_new = word.is_some_and(|word| word.fetch_or(bit, Ordering::AcqRel) & bit == 0);
        is_new && !self.fresh.swap(true, Ordering::AcqRel)
    }

    /// There are some that the CPU has not seen.
    pub fn is_fresh(&self) -> bool {
        self.fresh.load(Ordering::Acquire)
    }

    /// Sees them: calls `request` for each vector that is posted and not taken.
    pub fn see(&self, mut request: impl FnMut(u8)) {
        if !self.is_fresh() || !self.fresh.swap(false, Ordering::AcqRel) {
            return;
        }
        for (word, first) in self.vectors.iter().zip((0u8..).step_by(32)) {
            let mut posted = word.load(Ordering::Acquire);
            while posted != 0 {
                request(first + posted.trailing_zeros() as u8);
                posted &= posted - 1;
            }
        }
    }

    /// The guest takes the interrupt: from here on it is posted anew.
    pub fn taken(&self, vector: u8) {
        let (word, bit) = self.place(vector);
        if let Some(word) = word {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// What was posted is forgotten.
    pub fn forget(&self) {
        for word in &self.vectors {
            word.store(0, Ordering::Release);
        }
    }
}

impl Default for Posted {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn bells() -> [Bell; 3] {
        core::array::from_fn(|_| Bell::new())
    }

    /// As [`super::listen`], of these bells.
    fn listen(
        bells: &[Bell],
        ends: &[End],
        number: u64,
        vcpu: u8,
        vector: u64,
    ) -> Result<(), BadCall> {
        let listener = |vector| Listener {
            partition: PartitionId::new(0),
            vcpu: VcpuId::new(vcpu),
            vector,
        };
        super::listen(
            |one| bells.get(usize::from(one)),
            ends,
            number,
            vector,
            listener,
        )
    }

    /// Three ends of one channel, each in a partition of its own.
    const ENDS: [[End; 1]; 3] = [
        [End {
            bell: Some(0),
            rings: &[1, 2],
        }],
        [End {
            bell: Some(1),
            rings: &[0, 2],
        }],
        [End {
            bell: None,
            rings: &[0, 1],
        }],
    ];

    fn rung(bells: &[Bell], ends: &[End], number: u64) -> Result<Vec<(u8, u8)>, BadCall> {
        let sent = RefCell::new(Vec::new());
        ring(
            |one| bells.get(usize::from(one)),
            ends,
            number,
            |to| sent.borrow_mut().push((to.vcpu.get(), to.vector)),
        )?;
        Ok(sent.into_inner())
    }

    #[test]
    fn ring_interrupts_the_others_that_listen_and_not_the_end_itself() {
        let bells = bells();
        listen(&bells, &ENDS[0], 0, 4, 0x41).unwrap();
        assert_eq!(rung(&bells, &ENDS[0], 0), Ok(vec![]));
        listen(&bells, &ENDS[1], 0, 5, 0xff).unwrap();
        assert_eq!(rung(&bells, &ENDS[0], 0), Ok(vec![(5, 0xff)]));
        assert_eq!(rung(&bells, &ENDS[2], 0), Ok(vec![(4, 0x41), (5, 0xff)]));
    }

    #[test]
    fn silenced_bell_and_one_that_is_let_go_ring_nobody() {
        let bells = bells();
        listen(&bells, &ENDS[0], 0, 4, 0x41).unwrap();
        bells[0].silence();
        assert_eq!(rung(&bells, &ENDS[1], 0), Ok(vec![]));
        listen(&bells, &ENDS[0], 0, 4, 0x41).unwrap();
        listen(&bells, &ENDS[0], 0, 4, 0).unwrap();
        assert_eq!(rung(&bells, &ENDS[1], 0), Ok(vec![]));
    }

    #[test]
    fn ends_and_vectors_that_are_none_are_refused_and_change_nothing() {
        let bells = bells();
        listen(&bells, &ENDS[0], 0, 4, 0x41).unwrap();
        for vector in [1, 31, 256, 1 << 32, u64::MAX] {
            assert_eq!(
                listen(&bells, &ENDS[0], 0, 9, vector),
                Err(BadCall),
                "{vector}"
            );
        }
        for number in [1, u64::MAX] {
            assert_eq!(listen(&bells, &ENDS[0], number, 9, 0x41), Err(BadCall));
            assert_eq!(rung(&bells, &ENDS[0], number), Err(BadCall));
        }
        // An end without a doorbell.
        assert_eq!(listen(&bells, &ENDS[2], 0, 9, 0x41), Err(BadCall));
        assert_eq!(rung(&bells, &ENDS[1], 0), Ok(vec![(4, 0x41)]));
    }

    fn seen(posted: &Posted) -> Vec<u8> {
        let mut seen = Vec::new();
        posted.see(|vector| seen.push(vector));
        seen
    }

    #[test]
    fn cpu_is_called_for_the_first_of_those_that_it_has_not_seen() {
        let posted = Posted::new();
        assert!(posted.post(0x41) && !posted.post(0xff));
        assert!(!posted.post(0x41));
        assert!(posted.is_fresh());
        assert_eq!(seen(&posted), [0x41, 0xff]);
        // Seen, and not taken: the guest has its interrupts off.
        assert!(!posted.post(0x41) && !posted.is_fresh());
        assert_eq!(seen(&posted), [0u8; 0]);
        posted.taken(0x41);
        assert!(posted.post(0x41));
        assert_eq!(seen(&posted), [0x41, 0xff]);
    }

    #[test]
    fn what_is_forgotten_does_not_come() {
        let posted = Posted::new();
        assert!(posted.post(0x41));
        posted.forget();
        assert_eq!(seen(&posted), [0u8; 0]);
        assert!(posted.post(0x41));
    }
}
