//! What a source has said last, for others to read: a ring keeps it until the source overwrites it, whether it went out to the console or not.

use core::sync::atomic::Ordering;

use model::call::console::{KEPT, Piece};

use super::{CAPACITY, Ring};

const _: () = assert!(CAPACITY == KEPT, "what readers know is what a ring keeps");

impl Ring {
    /// The piece of text at `place`, in bytes ever pushed modulo 2^32. Where the ring does not have that place any more, or not yet, the piece begins with
    /// the oldest text that it has. The caller holds the lock of the source: nobody pushes meanwhile.
    ///
    /// A ring that was not full yet has zeros before its first byte, which a place beyond it gives.
    pub fn piece(&self, place: u32) -> Piece {
        let end = self.pushed.load(Ordering::Relaxed);
        let kept = end.wrapping_sub(place) as usize;
        let kept = if kept <= CAPACITY { kept } else { CAPACITY } as u32;
        let first = end.wrapping_sub(kept);
        let bytes = (0..kept).filter_map(|index| {
            let byte = self
                .bytes
                .get(first.wrapping_add(index) as usize % CAPACITY)?;
            Some(byte.load(Ordering::Relaxed))
        });
        Piece::new(first, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All text from `place` on, and where it begins.
    fn read(ring: &Ring, place: u32) -> (u32, Vec<u8>) {
        let first = ring.piece(place);
        let (mut text, mut piece) = (Vec::new(), first);
        while !piece.text().is_empty() {
            text.extend_from_slice(piece.text());
            piece = ring.piece(piece.end());
        }
        (first.place, text)
    }

    #[test]
    fn text_is_there_before_and_behind_its_way_to_the_console() {
        let ring = Ring::new();
        let text = b"a line that is longer than a piece of the text is\nand another";
        for byte in text {
            ring.push(*byte);
        }
        assert_eq!(read(&ring, 0), (0, text.to_vec()));
        while ring.pop().is_some() {}
        assert_eq!(read(&ring, 0), (0, text.to_vec()));
        assert_eq!(read(&ring, 50), (50, b"and another".to_vec()));
        let end = text.len() as u32;
        assert_eq!(read(&ring, end), (end, Vec::new()));
    }

    #[test]
    fn place_that_was_overwritten_gives_the_oldest_text_that_is_left() {
        let ring = Ring::new();
        for n in 0..CAPACITY + 10 {
            ring.push(n as u8);
            ring.pop();
        }
        let all: Vec<u8> = (10..CAPACITY + 10).map(|n| n as u8).collect();
        assert_eq!(read(&ring, 0), (10, all.clone()));
        assert_eq!(read(&ring, 9), (10, all.clone()));
        assert_eq!(read(&ring, 11), (11, all[1..].to_vec()));
    }

    #[test]
    fn any_place_gives_at_most_what_the_ring_holds() {
        let ring = Ring::new();
        ring.push_all(b"abc");
        for place in [
            4,
            5,
            CAPACITY as u32 + 4,
            u32::MAX / 2,
            u32::MAX - CAPACITY as u32,
        ] {
            let (first, text) = read(&ring, place);
            assert_eq!(
                (first, text.len()),
                (3u32.wrapping_sub(CAPACITY as u32), CAPACITY),
                "{place}"
            );
            assert!(text.ends_with(b"\0abc"));
        }
    }

    #[test]
    fn text_goes_on_where_its_count_wraps_around() {
        let ring = Ring::new();
        ring.pushed.store(u32::MAX - 1, Ordering::Relaxed);
        ring.popped.store(u32::MAX - 1, Ordering::Relaxed);
        ring.push_all(b"abcd");
        assert_eq!(read(&ring, u32::MAX - 1), (u32::MAX - 1, b"abcd".to_vec()));
        assert_eq!(read(&ring, 1), (1, b"d".to_vec()));
    }
}
