//! gic
