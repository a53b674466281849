//! What comes out: the table for the image, and guest device trees.

mod features;
mod guest_tree;
mod table;

pub(crate) use features::features;
pub(crate) use guest_tree::proven_tree;
pub(crate) use table::{Source, end, intid, ipa, mappings, segments, table, time_share};
