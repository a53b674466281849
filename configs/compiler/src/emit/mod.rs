//! What comes out: the table for the image, and guest device trees.

mod guest_tree;
mod table;

pub(crate) use guest_tree::proven_tree;
pub(crate) use table::table;
