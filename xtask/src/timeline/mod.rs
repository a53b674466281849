//! Timelines of schedules: a Gantt chart to look at, and trace events for the viewers of Chrome and Perfetto.

mod chrome;
mod gantt;
mod record;

pub use chrome::trace_events;
pub use gantt::draw;
pub use record::{Request, run};
