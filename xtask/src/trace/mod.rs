//! `cargo xtask trace`: what each physical CPU of a system did. A Gantt chart to look at, trace events for Perfetto and the viewer of Chrome, and a summary.

mod chrome;
mod gantt;
mod record;
mod schedule;
mod summary;

pub use chrome::trace_events;
pub use gantt::draw;
pub use record::{Request, run};
