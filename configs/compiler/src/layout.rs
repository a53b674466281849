//! Where things go in a partition's own memory.
//!
//! A kernel goes to the start of memory, then the initrd, then the device tree. A program goes where it says; its device tree goes
//! near the end of memory.

use std::rc::Rc;

use model::memory::PAGE;

use crate::codes::{self, Code};
use crate::image::{Image, Kernel, Piece, Program};
use crate::pc::linux;
use crate::range::{AddressRange, align_down, align_up, human_size};

/// Room kept for a device tree, in bytes.
pub(crate) const TREE_ROOM: u64 = 64 << 10;
/// Linux wants its tree within one 2 MiB block (booting.rst, section 2).
const TREE_ALIGNMENT: u64 = 2 << 20;
const KERNEL_ALIGNMENT: u64 = 2 << 20;

/// A filled partition memory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// What is copied in at each start, except for the device tree.
    pub pieces: Vec<(Piece, &'static str)>,
    pub entry: u64,
    /// Where the device tree goes; [`TREE_ROOM`] bytes are free there.
    pub tree: u64,
    pub initrd: Option<AddressRange>,
}

/// Why an image does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LayoutError {
    #[error("the image needs {} of memory, the partition has {}", human_size(*.needs), human_size(*.has))]
    Image { needs: u64, has: u64 },
    #[error(
        "the image ({}), the initrd ({}) and the device tree (64KiB) end {} behind the memory of {}",
        human_size(*.image), human_size(*.initrd), human_size(*.over), human_size(*.has)
    )]
    Together {
        image: u64,
        initrd: u64,
        over: u64,
        has: u64,
    },
    #[error("the segment {segment} overlaps the 64KiB kept for the device tree at {tree:#x}")]
    TreeSlot { segment: AddressRange, tree: u64 },
    #[error("the segment at {base:#x} of {size:#x} bytes lies outside the memory {memory}")]
    Segment {
        base: u64,
        size: u64,
        memory: AddressRange,
    },
    #[error("two segments overlap at {0:#x}")]
    Overlap(u64),
    #[error("a kernel for x86 begins in low memory, and the partition has {0}")]
    NotFromZero(AddressRange),
    #[error("the entry {0:#x} lies in no segment of the image")]
    Entry(u64),
}

impl LayoutError {
    pub fn code(&self) -> Code {
        match self {
            Self::Image { .. } => codes::IMAGE_DOES_NOT_FIT,
            Self::Together { .. } | Self::TreeSlot { .. } => codes::LAYOUT_DOES_NOT_FIT,
            Self::Segment { .. } | Self::NotFromZero(_) => codes::SEGMENT_OUTSIDE,
            Self::Overlap(_) => codes::BROKEN_IMAGE,
            Self::Entry(_) => codes::ENTRY_OUTSIDE,
        }
    }

    pub fn help(&self) -> &'static str {
        match self {
            Self::Image { .. } | Self::Together { .. } => "give the partition more memory",
            Self::TreeSlot { .. } => "give the partition more memory, or link the image lower",
            Self::NotFromZero(_) => "leave `at` out: memory then begins at 0",
            Self::Segment { .. } => "link the image for the memory that the partition sees",
            Self::Overlap(_) => "link the image so that its segments do not overlap",
            Self::Entry(_) => "let the image start in what it loads",
        }
    }
}

/// Fills `memory` with an image and, behind a kernel, an initrd.
pub(crate) fn lay_out(
    image: &Image,
    initrd: Option<&Rc<[u8]>>,
    memory: AddressRange,
) -> Result<Layout, LayoutError> {
    match image {
        Image::Kernel(kernel) => kernel_layout(kernel, initrd, memory),
        Image::PcKernel(kernel) => linux::lay_out(kernel, initrd, memory),
        Image::Program(program) => program_layout(program, memory),
    }
}

fn kernel_layout(
    kernel: &Kernel,
    initrd: Option<&Rc<[u8]>>,
    memory: AddressRange,
) -> Result<Layout, LayoutError> {
    let initrd_size = initrd.map_or(0, |bytes| bytes.len() as u64);
    let has = memory.size;
    let too_large = LayoutError::Image {
        needs: kernel.space.saturating_add(kernel.text_offset),
        has,
    };
    let place = |align: u64, at: u64, size: u64| AddressRange::new(align_up(at, align)?, size);

    let base = align_up(memory.base, KERNEL_ALIGNMENT)
        .and_then(|base| base.checked_add(kernel.text_offset));
    let space = base
        .and_then(|base| AddressRange::new(base, kernel.space))
        .ok_or_else(|| too_large.clone())?;
    if !memory.contains(space) {
        return Err(too_large);
    }
    let together = |end: Option<u64>| LayoutError::Together {
        image: kernel.space,
        initrd: initrd_size,
        over: end.unwrap_or(u64::MAX).saturating_sub(memory.end()),
        has,
    };
    let initrd_range = match initrd {
        Some(_) => place(PAGE, space.end(), initrd_size),
        None => None,
    };
    let end = initrd_range.map_or(space.end(), AddressRange::end);
    let tree = place(TREE_ALIGNMENT, end, TREE_ROOM).ok_or_else(|| together(None))?;
    if !memory.contains(tree) {
        return Err(together(Some(tree.end())));
    }

    let piece = |address: u64, bytes: &Rc<[u8]>| Piece {
        address,
        bytes: bytes.clone(),
        zeros: 0,
    };
    let mut pieces = vec![(piece(space.base, &kernel.bytes), "kernel")];
    if let (Some(range), Some(bytes)) = (initrd_range, initrd) {
        pieces.push((piece(range.base, bytes), "initrd"));
    }
    Ok(Layout {
        pieces,
        entry: space.base,
        tree: tree.base,
        initrd: initrd_range,
    })
}

fn program_layout(program: &Program, memory: AddressRange) -> Result<Layout, LayoutError> {
    let mut ranges = Vec::new();
    let mut total = 0u64;
    for piece in &program.pieces {
        let size = piece.zeros.saturating_add(piece.bytes.len() as u64);
        total = total.saturating_add(size);
        let range = AddressRange::new(piece.address, size).filter(|range| memory.contains(*range));
        ranges.push(range.ok_or(LayoutError::Segment {
            base: piece.address,
            size,
            memory,
        }));
    }
    // A segment that begins inside and is larger than all memory is a matter of size, not of place.
    if total > memory.size {
        return Err(LayoutError::Image {
            needs: total,
            has: memory.size,
        });
    }
    let mut ranges = ranges.into_iter().collect::<Result<Vec<_>, _>>()?;
    ranges.sort_unstable();
    if let Some(pair) = ranges.windows(2).find(|pair| pair[0].overlaps(pair[1])) {
        return Err(LayoutError::Overlap(pair[1].base));
    }
    if !ranges
        .iter()
        .any(|range| (range.base..range.end()).contains(&program.entry))
    {
        return Err(LayoutError::Entry(program.entry));
    }
    let tree = program_tree(memory).ok_or(LayoutError::Image {
        needs: total.saturating_add(TREE_ROOM),
        has: memory.size,
    })?;
    if let Some(segment) = ranges.into_iter().find(|range| range.overlaps(tree)) {
        return Err(LayoutError::TreeSlot {
            segment,
            tree: tree.base,
        });
    }
    Ok(Layout {
        pieces: program
            .pieces
            .iter()
            .map(|piece| (piece.clone(), "segment"))
            .collect(),
        entry: program.entry,
        tree: tree.base,
        initrd: None,
    })
}

/// The start of the last whole 2 MiB block of a memory of 4 MiB or more, else the last 64 KiB.
fn program_tree(memory: AddressRange) -> Option<AddressRange> {
    let from_end = if memory.size >= 2 * TREE_ALIGNMENT {
        TREE_ALIGNMENT
    } else {
        TREE_ROOM
    };
    let base = align_down(memory.end().checked_sub(from_end)?, from_end);
    AddressRange::new(base, TREE_ROOM).filter(|tree| memory.contains(*tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x4000_0000;
    const MIB: u64 = 1 << 20;

    fn memory(size: u64) -> AddressRange {
        AddressRange::new(BASE, size).unwrap()
    }

    fn kernel(space: u64) -> Image {
        Image::Kernel(Kernel {
            bytes: Rc::from(&[1u8; 100][..]),
            text_offset: 0,
            space,
        })
    }

    fn program(address: u64, zeros: u64, entry: u64) -> Image {
        let piece = Piece {
            address,
            bytes: Rc::from(&[1u8; 8][..]),
            zeros,
        };
        Image::Program(Program {
            pieces: vec![piece],
            entry,
        })
    }

    #[test]
    fn initrd_follows_the_space_that_the_kernel_claims() {
        let initrd: Rc<[u8]> = Rc::from(&[0u8; 5000][..]);
        let layout = lay_out(&kernel(3 * MIB + 1), Some(&initrd), memory(64 * MIB)).unwrap();
        assert_eq!(layout.entry, BASE);
        assert_eq!(
            layout.initrd.map(|range| range.base),
            Some(BASE + 3 * MIB + PAGE)
        );
        assert_eq!(layout.tree, BASE + 4 * MIB);
    }

    #[test]
    fn kernel_larger_than_memory_is_refused_with_numbers() {
        let error = lay_out(&kernel(64 * MIB), None, memory(32 * MIB)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the image needs 64MiB of memory, the partition has 32MiB"
        );
    }

    #[test]
    fn kernel_without_room_for_its_tree_is_refused() {
        let error = lay_out(&kernel(4 * MIB), None, memory(4 * MIB)).unwrap_err();
        assert_eq!(error.code(), codes::LAYOUT_DOES_NOT_FIT);
    }

    #[test]
    fn program_tree_goes_to_the_last_block() {
        assert_eq!(
            lay_out(&program(BASE, 0, BASE), None, memory(16 * MIB))
                .unwrap()
                .tree,
            BASE + 14 * MIB
        );
        assert_eq!(
            lay_out(&program(BASE, 0, BASE), None, memory(MIB))
                .unwrap()
                .tree,
            BASE + MIB - TREE_ROOM
        );
    }

    #[test]
    fn program_outside_memory_or_without_entry_is_refused() {
        let code = |image| lay_out(&image, None, memory(16 * MIB)).unwrap_err().code();
        assert_eq!(code(program(0, 0, 0)), codes::SEGMENT_OUTSIDE);
        assert_eq!(code(program(u64::MAX - 3, 0, 0)), codes::SEGMENT_OUTSIDE);
        assert_eq!(code(program(BASE, 0, BASE + 8)), codes::ENTRY_OUTSIDE);
        assert_eq!(
            code(program(BASE, 16 * MIB, BASE)),
            codes::IMAGE_DOES_NOT_FIT
        );
        assert_eq!(
            code(program(BASE + 14 * MIB, 0, BASE + 14 * MIB)),
            codes::LAYOUT_DOES_NOT_FIT
        );
    }
}
