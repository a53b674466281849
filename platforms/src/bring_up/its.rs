//! Where the board's Interrupt Translation Service is.

use platforms::device_tree::Node;

use super::{Differs, Found};
use crate::SYSTEM;

impl<'a> Found<'a> {
    /// Looks whether a node is the ITS that the system uses: a board may have several.
    pub(super) fn add_its<'n>(
        &mut self,
        node: &Node<'_>,
        mut names: impl Iterator<Item = &'n [u8]>,
    ) {
        if let Some(wanted) = SYSTEM.board.its
            && names.any(|name| name == b"arm,gic-v3-its")
        {
            self.its |= node
                .reg()
                .next()
                .is_some_and(|(base, _)| base == wanted.get());
        }
    }
}

/// The ITS is where the image expects it: devices were told to write there.
pub(super) fn compare(found: &Found<'_>, differs: Differs) {
    if let Some(wanted) = SYSTEM.board.its.filter(|_| !found.its) {
        differs(format_args!(
            "this image expects an ITS at {:#x}, and this board has none there",
            wanted.get()
        ));
    }
}
