//! Serial ports that can be the hypervisor's console.

pub mod pl011;
