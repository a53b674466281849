//! Address translation: one generic table builder, and the formats that it writes.
//!
//! Tables are built once, at boot, from a pool of frames that the linker reserved. An entry goes from invalid to valid and never
//! changes again, so no break-before-make sequence is ever due here (Arm ARM D8.16.1). What the builder writes becomes visible to a
//! table walker when the caller has executed `DSB ISHST` and, for its own translations, `ISB`; while the MMU is off the caller also
//! cleans the frames from the data cache.
//!
//! - [`format`](mod@format): what a translation table format must say about itself;
//! - [`frames`]: the pool that tables are made of;
//! - [`table`]: mapping and walking, the same for every format;
//! - [`stage2`], [`stage1`]: the two formats of EL2, with their control registers, and `vmsa`, what they have in common;
//! - `long_descriptor`: that of IOMMUs which cannot share `stage2`.

pub mod format;
pub mod frames;
#[cfg(feature = "ipmmu")]
pub mod long_descriptor;
pub mod place;
pub mod stage1;
pub mod stage2;
pub mod table;
mod vmsa;

pub use format::{ADDRESS, Entry, Format, Level, Root};
pub use frames::{FramePool, OutOfFrames, Page};
#[cfg(not(target_os = "none"))]
pub use table::Translation;
pub use table::{MapError, Table};

#[cfg(test)]
mod tests;
