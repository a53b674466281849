//! AMD SVM: the control block of a virtual CPU and its permission maps, as data.

pub mod exit;
pub mod guest;
pub mod intercept;
pub mod permissions;
pub mod reset;
pub mod vmcb;
