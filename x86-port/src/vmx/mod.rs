//! Intel VMX: the control structure of a virtual CPU, its bitmap of MSRs and its page tables, as data.

pub mod controls;
pub mod ept;
pub mod exit;
pub mod field;
pub mod guest;
pub mod permissions;
pub mod reset;
