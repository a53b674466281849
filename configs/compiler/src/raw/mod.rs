//! What a TOML file says, with the place of each word, before anyone asks whether it makes sense.

pub(crate) mod reader;
pub(crate) mod size;
mod syntax;
pub(crate) mod system;
pub(crate) mod values;

pub(crate) use system::{RawConsole, RawImage, RawPartition, RawSystem};
