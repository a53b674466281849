//! Images that do not lie in the payload: files that a boot loader puts into memory at an address that the system file says.

use std::ops::Range;
use std::rc::Rc;

use model::file::{OFFSETS, address};

use crate::image::Image;
use crate::payload::Payload;
use crate::range::AddressRange;

/// The file of a partition.
#[derive(Clone, Debug)]
pub(crate) struct SeparateFile {
    /// Where it lies.
    pub address: u64,
    /// Where the system file says so.
    pub span: Range<usize>,
    /// What is in it.
    pub payload: Payload,
}

impl SeparateFile {
    /// What it takes of the board's RAM. `None` when it ends beyond 64 bits of address.
    pub fn lies(&self) -> Option<AddressRange> {
        AddressRange::new(self.address, self.payload.size())
    }

    /// The offset by which the image finds a piece.
    pub fn offset(&self, piece: &Rc<[u8]>) -> Option<u64> {
        let lies = self.address.checked_add(self.payload.offset(piece)?)?;
        Some(lies | OFFSETS)
    }

    /// Bytes at such an offset.
    pub fn bytes(&self, offset: u64, size: u64) -> Option<&[u8]> {
        let offset = address(offset)?.checked_sub(self.address)?;
        self.payload.bytes(offset, size)
    }
}

/// What an image puts into a partition, and its initrd.
pub(crate) fn pieces<'a>(
    image: &'a Image,
    initrd: Option<&'a Rc<[u8]>>,
) -> impl Iterator<Item = &'a Rc<[u8]>> {
    let (whole, parts) = match image {
        Image::Kernel(kernel) => (Some(&kernel.bytes), &[][..]),
        Image::PcKernel(kernel) => (Some(&kernel.bytes), &[][..]),
        Image::Program(program) => (None, program.pieces.as_slice()),
    };
    let parts = parts.iter().map(|piece| &piece.bytes);
    let parts = parts.filter(|bytes| !bytes.is_empty());
    whole.into_iter().chain(parts).chain(initrd)
}
