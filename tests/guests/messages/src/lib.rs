//! One end of a channel, for the guests that use or abuse it.
#![no_std]

pub mod end;
