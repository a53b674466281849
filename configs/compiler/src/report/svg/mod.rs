//! Drawings, as SVG inside the page. Colours come from the page's style sheet by class, so that they follow the reader's theme; every
//! shape is named by a text, too, so that colour is never the only sign.

mod axis;
mod board_map;
mod channels;
mod cpus;
mod partition_map;
mod shapes;
mod time;

pub(super) use board_map::board_map;
pub(super) use channels::channel_graph;
pub(super) use cpus::cpu_grid;
pub(super) use partition_map::partition_map;
pub(super) use time::{cyclic_frame, members, rtds_load, rtds_periods};
