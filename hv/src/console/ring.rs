//! A ring of bytes between one producer and one consumer, without a lock.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

#[cfg(feature = "tail")]
mod tail;

/// Bytes that a [`Ring`] holds: a power of two.
pub const CAPACITY: usize = 2048;

/// Text of one source on its way to the console.
///
/// One CPU at a time may push (it holds the lock of the source) and one may pop (it holds the lock of the console). Everything is
/// atomic: were the rule broken, text would be garbled and nothing else.
pub struct Ring {
    bytes: [AtomicU8; CAPACITY],
    /// Bytes ever pushed, modulo 2^32. Written by the producer.
    pushed: AtomicU32,
    /// Bytes ever popped, modulo 2^32. Written by the consumer.
    popped: AtomicU32,
    /// Line feeds ever pushed.
    lines_pushed: AtomicU32,
    /// Line feeds ever popped.
    lines_popped: AtomicU32,
}

impl Ring {
    /// An empty ring.
    pub const fn new() -> Self {
        Self {
            bytes: [const { AtomicU8::new(0) }; CAPACITY],
            pushed: AtomicU32::new(0),
            popped: AtomicU32::new(0),
            lines_pushed: AtomicU32::new(0),
            lines_popped: AtomicU32::new(0),
        }
    }

    /// Bytes that wait. Exact for the producer and the consumer, a snapshot for others.
    pub fn len(&self) -> usize {
        let pushed = self.pushed.load(Ordering::Acquire);
        let popped = self.popped.load(Ordering::Acquire);
        (pushed.wrapping_sub(popped) as usize).min(CAPACITY)
    }

    /// Bytes ever pushed, modulo 2^32: tells the consumer whether the source has said something since it last looked.
    pub fn pushed(&self) -> u32 {
        self.pushed.load(Ordering::Acquire)
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that can be pushed.
    pub fn free(&self) -> usize {
        CAPACITY - self.len()
    }

    /// True when a whole line waits.
    pub fn has_line(&self) -> bool {
        // Signed: a line feed may be popped before its producer has counted it.
        let pushed = self.lines_pushed.load(Ordering::Acquire);
        let popped = self.lines_popped.load(Ordering::Relaxed);
        pushed.wrapping_sub(popped).cast_signed() > 0
    }

    /// Appends a byte; false when the ring is full and the byte was not taken.
    pub fn push(&self, byte: u8) -> bool {
        self.push_all(&[byte])
    }

    /// Appends all of `text` or, when it does not fit, nothing: a line is never cut in two.
    pub fn push_all(&self, text: &[u8]) -> bool {
        if text.len() > self.free() {
            return false;
        }
        let mut at = self.pushed.load(Ordering::Relaxed);
        for byte in text {
            if let Some(cell) = self.bytes.get(at as usize % CAPACITY) {
                cell.store(*byte, Ordering::Relaxed);
            }
            at = at.wrapping_add(1);
        }
        self.pushed.store(at, Ordering::Release);
        // After the bytes: the consumer may see a line too late, never one that is not there.
        let lines = text.iter().filter(|byte| **byte == b'\n').count() as u32;
        let before = self.lines_pushed.load(Ordering::Relaxed);
        self.lines_pushed
            .store(before.wrapping_add(lines), Ordering::Release);
        true
    }

    /// Removes the oldest byte.
    pub fn pop(&self) -> Option<u8> {
        if self.is_empty() {
            return None;
        }
        let at = self.popped.load(Ordering::Relaxed);
        let byte = self
            .bytes
            .get(at as usize % CAPACITY)?
            .load(Ordering::Relaxed);
        if byte == b'\n' {
            let lines = self.lines_popped.load(Ordering::Relaxed);
            self.lines_popped
                .store(lines.wrapping_add(1), Ordering::Relaxed);
        }
        self.popped.store(at.wrapping_add(1), Ordering::Release);
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let ring = Ring::new();
        assert!(ring.push_all(b"abc"));
        assert_eq!(
            [ring.pop(), ring.pop(), ring.pop(), ring.pop()],
            [Some(b'a'), Some(b'b'), Some(b'c'), None]
        );
    }

    #[test]
    fn full_ring_refuses_a_byte_until_one_is_popped() {
        let ring = Ring::new();
        for _ in 0..CAPACITY {
            assert!(ring.push(b'x'));
        }
        assert_eq!(ring.free(), 0);
        assert!(!ring.push(b'y'));
        ring.pop();
        assert!(ring.push(b'y'));
    }

    #[test]
    fn text_that_does_not_fit_is_not_cut() {
        let ring = Ring::new();
        assert!(ring.push_all(&[b'x'; CAPACITY - 2]));
        assert!(!ring.push_all(b"abc"));
        assert_eq!(ring.free(), 2);
    }

    #[test]
    fn counters_that_wrap_around_keep_the_order() {
        let ring = Ring::new();
        ring.pushed.store(u32::MAX, Ordering::Relaxed);
        ring.popped.store(u32::MAX, Ordering::Relaxed);
        assert!(ring.push_all(b"ab"));
        assert_eq!(
            (ring.len(), ring.pop(), ring.pop(), ring.pop()),
            (2, Some(b'a'), Some(b'b'), None)
        );
    }

    #[test]
    fn line_is_seen_from_its_line_feed_until_it_is_popped() {
        let ring = Ring::new();
        ring.push(b'a');
        assert!(!ring.has_line());
        ring.push(b'\n');
        assert!(ring.has_line());
        ring.pop();
        ring.pop();
        assert!(!ring.has_line());
    }

    #[test]
    fn line_feed_that_is_popped_before_it_is_counted_is_no_line() {
        let ring = Ring::new();
        ring.lines_popped.store(1, Ordering::Relaxed);
        assert!(!ring.has_line());
    }

    #[test]
    fn producer_and_consumer_on_two_threads_lose_no_byte() {
        let ring = Ring::new();
        let total = 20_000_u32;

        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..total {
                    while !ring.push(n as u8) {
                        std::thread::yield_now();
                    }
                }
            });
            for n in 0..total {
                let byte = loop {
                    match ring.pop() {
                        Some(byte) => break byte,
                        None => std::thread::yield_now(),
                    }
                };
                assert_eq!(byte, n as u8);
            }
        });
    }
}
