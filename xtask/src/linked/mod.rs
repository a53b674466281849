//! What the instructions of a linked image tell: who calls whom, who can panic, how deep the stack gets, which lines of source they come from.

pub mod graph;
mod instruction;
pub mod lines;
pub mod panics;
pub mod stack;
#[cfg(test)]
mod testing;
