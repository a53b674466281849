//! Mapping, the same for every format.

#[cfg(not(target_os = "none"))]
mod walk;
#[cfg(not(target_os = "none"))]
pub use walk::Translation;

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

use model::Pa;
use model::memory::PAGE;

use super::format::{Entry, Format, Level, Root};
use super::frames::{ENTRIES, FramePool, Frames, OutOfFrames};

/// Why a mapping was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The format has no input addresses of this many bits.
    #[error("{0}-bit input addresses are not supported")]
    InputBits(u32),
    /// A size of 0.
    #[error("empty mapping at {0:#x}")]
    Empty(u64),
    /// Input address, output address or size is not a multiple of 4 KiB; this is the one.
    #[error("{0:#x} is not page-aligned")]
    Misaligned(u64),
    /// The range passes the end of the input address space or wraps around; this is its first input address.
    #[error("mapping at {0:#x} passes the end of the input address space")]
    InputRange(u64),
    /// The range passes the end of the output address space or wraps around; this is its first output address.
    #[error("mapping to {0} passes the end of the physical address space")]
    OutputRange(Pa),
    /// Something is mapped at this input address already.
    #[error("{0:#x} is mapped already")]
    Overlap(u64),
    /// The pool has no frame left for a table that the mapping takes.
    #[error(transparent)]
    OutOfFrames(#[from] OutOfFrames),
    /// The pool is not the one that the table was made from.
    #[error("the table was made from another frame pool")]
    ForeignPool,
}

/// A translation table in format `F`.
pub struct Table<F: Format> {
    frames: Frames,
    shape: Root,
    root: Pa,
    input_bits: u32,
    format: PhantomData<F>,
}

impl<F: Format> Table<F> {
    /// An empty table for input addresses of `input_bits` bits.
    ///
    /// # Errors
    /// [`MapError::InputBits`] when the format has no such width, [`MapError::OutOfFrames`] when its root does not fit in the pool.
    pub fn new(pool: &mut FramePool, input_bits: u32) -> Result<Self, MapError> {
        let shape = F::root(input_bits).ok_or(MapError::InputBits(input_bits))?;
        let root = pool.take_aligned(shape.pages)?;
        Ok(Self {
            frames: pool.frames(),
            shape,
            root,
            input_bits,
            format: PhantomData,
        })
    }

    /// Address of the outermost table, for the translation table base register.
    pub fn root(&self) -> Pa {
        self.root
    }

    /// Maps `size` bytes from `input` on to those from `pa` on, in the largest leaves that both addresses allow.
    /// All three numbers are multiples of 4 KiB. Nothing that is mapped changes.
    ///
    /// # Errors
    /// [`MapError`] says what is wrong with the request. What overlaps something, or takes more frames than there are, is mapped up to there: tables are
    /// built before anything uses them, and whoever builds them gives up.
    pub fn map(
        &mut self,
        input: u64,
        pa: Pa,
        size: u64,
        attributes: F::Attributes,
        pool: &mut FramePool,
    ) -> Result<(), MapError> {
        if !self.frames.same(&pool.frames()) {
            return Err(MapError::ForeignPool);
        }
        for piece in Pieces::new::<F>(input, pa, size, self.input_bits)? {
            let distances = (0..).map(|leaf| leaf * piece.level.size());
            for (slot, distance) in self.leaves(&piece, pool)?.iter().zip(distances) {
                // Descriptor 0 is the empty one in every format.
                if slot.load(Ordering::Acquire) != 0 {
                    return Err(MapError::Overlap(piece.input + distance));
                }
                let pa = Pa::new(piece.pa.get() + distance);
                slot.store(F::leaf(piece.level, pa, attributes), Ordering::Release);
            }
        }
        Ok(())
    }

    /// The descriptor that translates `input` in the table at `table`.
    fn slot(&self, table: Pa, level: Level, input: u64) -> Option<&'static AtomicU64> {
        self.slots(table, level, input, 1)?.first()
    }

    /// The descriptor that translates `input` in the table at `table`, and those behind it: `count` in all.
    fn slots(
        &self,
        table: Pa,
        level: Level,
        input: u64,
        count: usize,
    ) -> Option<&'static [AtomicU64]> {
        // Inputs are below 2^input_bits, so above the root's level nothing is left to mask: its index runs through all of its pages.
        let index = if level == self.shape.level {
            input >> level.shift()
        } else {
            input >> level.shift() & 0x1ff
        };
        self.frames
            .entries(table, usize::try_from(index).ok()?, count)
    }

    /// Walks down to the descriptors of a piece's leaves, through tables that it makes where they are missing.
    fn leaves(
        &self,
        piece: &Piece,
        pool: &mut FramePool,
    ) -> Result<&'static [AtomicU64], MapError> {
        let overlap = MapError::Overlap(piece.input);
        let mut table = self.root;
        let mut level = self.shape.level;
        while level < piece.level {
            let slot = self.slot(table, level, piece.input).ok_or(overlap)?;
            table = match F::decode(slot.load(Ordering::Acquire), level) {
                Entry::Table(next) => next,
                Entry::Empty => {
                    let next = pool.take()?;
                    slot.store(F::table(next), Ordering::Release);
                    next
                }
                Entry::Leaf(..) | Entry::Reserved => return Err(overlap),
            };
            level = level.next().ok_or(overlap)?;
        }
        let own = self.slots(table, level, piece.input, piece.leaves);
        own.ok_or(overlap)
    }
}

/// Leaves of one size that follow one another in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// What the first one maps, and to where.
    input: u64,
    pa: Pa,
    level: Level,
    /// How many there are, up to a table's 512.
    leaves: usize,
}

/// A mapping cut into leaves, ascending: each as large as its alignment and what is left allow. Those that share a table come together.
struct Pieces {
    input: u64,
    pa: Pa,
    left: u64,
    largest: Level,
}

impl Pieces {
    /// Checks the numbers of a mapping. What it yields lies within both address spaces.
    fn new<F: Format>(input: u64, pa: Pa, size: u64, input_bits: u32) -> Result<Self, MapError> {
        if size == 0 {
            return Err(MapError::Empty(input));
        }
        for number in [input, pa.get(), size] {
            if number % PAGE != 0 {
                return Err(MapError::Misaligned(number));
            }
        }
        if input
            .checked_add(size)
            .is_none_or(|end| end > 1 << input_bits)
        {
            return Err(MapError::InputRange(input));
        }
        if pa
            .checked_add(size)
            .is_none_or(|end| end.get() > 1 << F::OUTPUT_BITS)
        {
            return Err(MapError::OutputRange(pa));
        }
        Ok(Self {
            input,
            pa,
            left: size,
            largest: F::LARGEST_LEAF,
        })
    }
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.left == 0 {
            return None;
        }
        let fits = |level: &Level| {
            (self.input | self.pa.get()).is_multiple_of(level.size()) && self.left >= level.size()
        };
        let level = Level::ALL
            .into_iter()
            .filter(|level| *level >= self.largest)
            .find(fits)?;
        // Larger leaves fit at the beginning of another table at the earliest: elsewhere the input is not aligned to them.
        let in_table = ENTRIES as u64 - (self.input >> level.shift()) % ENTRIES as u64;
        let leaves = (self.left >> level.shift()).min(in_table);
        let piece = Piece {
            input: self.input,
            pa: self.pa,
            level,
            leaves: leaves as usize,
        };
        let size = leaves << level.shift();
        self.left -= size;
        self.input += size;
        self.pa = self.pa.checked_add(size)?;
        Some(piece)
    }
}
