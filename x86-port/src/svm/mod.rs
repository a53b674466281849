//! AMD SVM: the control block of a virtual CPU and its permission maps, as data.

pub mod control;
pub mod permissions;
pub mod vmcb;
