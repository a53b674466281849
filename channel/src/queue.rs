//! The queue: what one end may do.

use super::atomic::{AtomicU32, Ordering, fence};
use super::layout::{
    End, FIRST_SLOT_AT, MAGIC, MAGIC_AT, MOST_BYTES, SENT_AT, SLOT_WORDS, SLOTS_AT, TAKEN_AT,
    VERSION, VERSION_AT, WANTS_MESSAGE_AT, WANTS_ROOM_AT, slots,
};

/// Why there is no queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The memory is too small for one message each way.
    #[error("the memory of the channel is too small for a queue")]
    TooSmall,
    /// The other end says that it speaks another version.
    #[error("the other end speaks version {0} of the queue")]
    Version(u32),
    /// The other end says that it has another number of slots.
    #[error("the other end has {0} slots")]
    Slots(u32),
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The other end has not taken enough of what was sent before: see [`Queue::wait_for_room`].
    #[error("the queue is full")]
    Full,
    /// The message has more than [`MOST_BYTES`] bytes.
    #[error("the message is too long")]
    TooLong,
}

/// Whether the other end waits for what was just done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an end that waits sleeps until its doorbell rings"]
pub enum Ring {
    /// It does: ring its doorbell.
    Needed,
    /// It does not.
    NotNeeded,
}

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A message of so many bytes, at the beginning of the buffer. Where the buffer is shorter, its end is cut off.
    Whole(usize),
    /// The other end has started again, or writes nonsense: what it had sent is dropped, and the two agree again.
    Lost,
}

/// One end of a queue.
#[derive(Debug)]
pub struct Queue<'m> {
    /// What this end writes.
    own: &'m [AtomicU32],
    /// What the other end writes.
    peer: &'m [AtomicU32],
    /// A power of two.
    slots: u32,
    sent: u32,
    taken: u32,
}

impl<'m> Queue<'m> {
    /// This end of the queue in the memory of a channel. What was not taken before, either way, is lost. The caller rings the other end's doorbell
    /// once: it may wait for what will never come.
    ///
    /// # Errors
    /// [`TooSmall`](QueueError::TooSmall).
    pub fn new(memory: &'m [AtomicU32], end: End) -> Result<Self, QueueError> {
        let (first, second) = memory
            .split_at_checked(memory.len() / 2)
            .ok_or(QueueError::TooSmall)?;
        match end {
            End::First => Self::of_halves(first, second),
            End::Second => Self::of_halves(second, first),
        }
    }

    /// This end of the queue in two channels, one for each direction: `own` is written by this end alone, `peer` only read.
    ///
    /// # Errors
    /// [`TooSmall`](QueueError::TooSmall).
    pub fn of_halves(own: &'m [AtomicU32], peer: &'m [AtomicU32]) -> Result<Self, QueueError> {
        let slots = slots(own.len().min(peer.len())).ok_or(QueueError::TooSmall)?;
        let mut queue = Self {
            own,
            peer,
            slots,
            sent: 0,
            taken: 0,
        };
        // As if all that was ever sent had been taken.
        queue.sent = queue.of_peer(TAKEN_AT);
        queue.taken = queue.of_peer(SENT_AT);
        queue.tell(SENT_AT, queue.sent);
        queue.tell(TAKEN_AT, queue.taken);
        // Waits for nothing: what these name has been.
        queue.tell(WANTS_MESSAGE_AT, queue.taken.wrapping_sub(1));
        queue.tell(WANTS_ROOM_AT, queue.sent.wrapping_sub(1));
        queue.tell(VERSION_AT, VERSION);
        queue.tell(SLOTS_AT, slots);
        fence(Ordering::Release);
        queue.tell(MAGIC_AT, MAGIC);
        Ok(queue)
    }

    /// True when the other end is there and speaks the same format; it may start later.
    ///
    /// # Errors
    /// It is there and does not.
    pub fn is_connected(&self) -> Result<bool, QueueError> {
        if self.of_peer(MAGIC_AT) != MAGIC {
            return Ok(false);
        }
        fence(Ordering::Acquire);
        match (self.of_peer(VERSION_AT), self.of_peer(SLOTS_AT)) {
            (VERSION, slots) if slots == self.slots => Ok(true),
            (VERSION, slots) => Err(QueueError::Slots(slots)),
            (version, _) => Err(QueueError::Version(version)),
        }
    }

    /// How many messages can be under way at once.
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed then.
    pub fn send(&mut self, message: &[u8]) -> Result<Ring, SendError> {
        if message.len() > MOST_BYTES {
            return Err(SendError::TooLong);
        }
        if !self.has_room() {
            return Err(SendError::Full);
        }
        // The other end has read what was in the slot before it said so.
        fence(Ordering::Acquire);
        let slot = self.slot(self.sent);
        store(self.own, slot, message.len() as u32);
        let (words, rest) = message.as_chunks::<4>();
        for (at, word) in (slot + 1..).zip(words) {
            store(self.own, at, u32::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut padded = [0; 4];
            padded
                .iter_mut()
                .zip(rest)
                .for_each(|(to, from)| *to = *from);
            store(self.own, slot + 1 + words.len(), u32::from_le_bytes(padded));
        }
        fence(Ordering::Release);
        self.sent = self.sent.wrapping_add(1);
        self.tell(SENT_AT, self.sent);
        Ok(self.ring(WANTS_MESSAGE_AT, self.sent))
    }

    /// Takes the next message; `None` when there is none.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<(Message, Ring)> {
        let sent = self.of_peer(SENT_AT);
        let waiting = sent.wrapping_sub(self.taken);
        if waiting == 0 {
            return None;
        }
        fence(Ordering::Acquire);
        if waiting > self.slots {
            self.taken = sent;
            // The count has jumped, perhaps over the one that the other end waits for.
            let _ = self.took();
            return Some((Message::Lost, Ring::Needed));
        }
        let slot = self.slot(self.taken);
        let length = load(self.peer, slot) as usize;
        let message = if length > MOST_BYTES {
            Message::Lost
        } else {
            let (whole, _) = buffer.split_at_mut(length.min(buffer.len()));
            let kept = whole.len();
            let (words, rest) = whole.as_chunks_mut::<4>();
            let rest_at = slot + 1 + words.len();
            for (at, word) in (slot + 1..).zip(words) {
                *word = load(self.peer, at).to_le_bytes();
            }
            if !rest.is_empty() {
                let last = load(self.peer, rest_at).to_le_bytes();
                rest.iter_mut().zip(last).for_each(|(to, from)| *to = from);
            }
            Message::Whole(kept)
        };
        self.taken = self.taken.wrapping_add(1);
        Some((message, self.took()))
    }

    /// Asks to be rung for the next message. True when there is none yet, and the caller may sleep until its doorbell rings.
    pub fn wait_for_message(&mut self) -> bool {
        self.tell(WANTS_MESSAGE_AT, self.taken);
        // Either the other end sees that this one waits, or this one sees the message.
        fence(Ordering::SeqCst);
        self.of_peer(SENT_AT) == self.taken
    }

    /// Asks to be rung when there is room for half of the slots' messages. True when there is no room yet, and the caller may sleep until its doorbell rings.
    pub fn wait_for_room(&mut self) -> bool {
        let oldest = self.sent.wrapping_sub(self.slots);
        self.tell(WANTS_ROOM_AT, oldest.wrapping_add((self.slots - 1) / 2));
        fence(Ordering::SeqCst);
        !self.has_room()
    }

    /// The other end has taken enough that another message fits. An end that has taken more than was sent has not looked since this one started.
    fn has_room(&self) -> bool {
        self.sent.wrapping_sub(self.of_peer(TAKEN_AT)) < self.slots
    }

    /// The slots up to `taken` are free from here on.
    fn took(&mut self) -> Ring {
        // What was in them has been read.
        fence(Ordering::Release);
        self.tell(TAKEN_AT, self.taken);
        self.ring(WANTS_ROOM_AT, self.taken)
    }

    /// Whether the other end waits for a count of this end that has just become `now`.
    fn ring(&self, wanted_at: usize, now: u32) -> Ring {
        fence(Ordering::SeqCst);
        if self.of_peer(wanted_at) == now.wrapping_sub(1) {
            Ring::Needed
        } else {
            Ring::NotNeeded
        }
    }

    /// The first word of the slot for message `number`.
    const fn slot(&self, number: u32) -> usize {
        FIRST_SLOT_AT + (number & (self.slots - 1)) as usize * SLOT_WORDS
    }

    fn of_peer(&self, at: usize) -> u32 {
        load(self.peer, at)
    }

    fn tell(&self, at: usize, value: u32) {
        store(self.own, at, value);
    }
}

/// Relaxed, with fences where it matters: Rust promises no other kind of load for memory that may be read only.
fn load(words: &[AtomicU32], at: usize) -> u32 {
    words
        .get(at)
        .map_or(0, |word| u32::from_le(word.load(Ordering::Relaxed)))
}

fn store(words: &[AtomicU32], at: usize, value: u32) {
    if let Some(word) = words.get(at) {
        word.store(value.to_le(), Ordering::Relaxed);
    }
}
