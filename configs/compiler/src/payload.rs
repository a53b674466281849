//! The blob behind the image: everything that is copied into partitions.

use std::rc::Rc;

/// First bytes of a payload.
const MAGIC: &[u8; 8] = b"BHPAYLD1";
/// Pieces begin at multiples of this; the first page is the header.
const ALIGNMENT: u64 = 4096;

/// Pieces with their offsets. Equal pieces are stored once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    pieces: Vec<(u64, Rc<[u8]>)>,
    end: u64,
}

impl Payload {
    /// Adds a piece; returns its offset from the payload's start.
    pub fn add(&mut self, bytes: &Rc<[u8]>) -> u64 {
        if let Some(offset) = self.offset(bytes) {
            return offset;
        }
        let offset = self.end.max(ALIGNMENT).next_multiple_of(ALIGNMENT);
        self.end = offset + bytes.len() as u64;
        self.pieces.push((offset, bytes.clone()));
        offset
    }

    /// Where a piece is that was added.
    pub fn offset(&self, bytes: &Rc<[u8]>) -> Option<u64> {
        let mut pieces = self.pieces.iter();
        let same = |piece: &Rc<[u8]>| Rc::ptr_eq(piece, bytes) || piece == bytes;
        let found = pieces.find(|(_, piece)| same(piece));
        found.map(|(offset, _)| *offset)
    }

    /// Bytes of it, if all of them are in one piece.
    pub fn bytes(&self, offset: u64, size: u64) -> Option<&[u8]> {
        self.pieces.iter().find_map(|(start, piece)| {
            let from = usize::try_from(offset.checked_sub(*start)?).ok()?;
            let size = usize::try_from(size).ok()?;
            piece.get(from..from.checked_add(size)?)
        })
    }

    /// Length of the blob in bytes, a multiple of 4096.
    pub fn size(&self) -> u64 {
        self.end.max(ALIGNMENT).next_multiple_of(ALIGNMENT)
    }

    /// The blob.
    pub fn build(&self) -> Vec<u8> {
        let mut blob = vec![0; self.size() as usize];
        blob[..8].copy_from_slice(MAGIC);
        blob[8..16].copy_from_slice(&self.size().to_le_bytes());
        for (offset, piece) in &self.pieces {
            let start = *offset as usize;
            blob[start..start + piece.len()].copy_from_slice(piece);
        }
        blob
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_page_aligned_behind_the_header() {
        let mut payload = Payload::default();
        let first = payload.add(&Rc::from(&[7u8; 5000][..]));
        let second = payload.add(&Rc::from(&[8u8; 1][..]));
        assert_eq!((first, second, payload.size()), (4096, 12288, 16384));
        let blob = payload.build();
        assert_eq!((&blob[..8], blob[4096], blob[12288]), (&MAGIC[..], 7, 8));
        assert_eq!(blob[8..16], 16384u64.to_le_bytes());
    }

    #[test]
    fn equal_pieces_are_stored_once() {
        let mut payload = Payload::default();
        let first = payload.add(&Rc::from(&[7u8; 100][..]));
        assert_eq!(payload.add(&Rc::from(&[7u8; 100][..])), first);
        assert_eq!(payload.size(), 8192);
    }

    #[test]
    fn bytes_of_a_piece_are_found_by_their_offset_and_none_beyond_it() {
        let mut payload = Payload::default();
        let offset = payload.add(&Rc::from(&[1u8, 2, 3][..]));
        assert_eq!(payload.bytes(offset + 1, 2), Some(&[2u8, 3][..]));
        assert_eq!(payload.bytes(offset + 1, 3), None);
        assert_eq!(payload.bytes(0, 1), None);
    }

    #[test]
    fn empty_payload_is_its_header() {
        assert_eq!(Payload::default().build().len(), 4096);
    }
}
