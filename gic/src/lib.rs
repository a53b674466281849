//! The Arm Generic Interrupt Controller: drivers for the physical one and the virtual one that partitions see.
//!
//! Principles:
//! - [`phys`] is a thin shell over registers. Everything it offers is the trait [`InterruptController`], so that the hypervisor is
//!   written once for GICv2 (Arm IHI 0048B) and GICv3/v4 (Arm IHI 0069H);
//! - [`virt`] is a pure state machine without `unsafe`: it talks to hardware only through [`ListRegisters`] and
//!   [`virt::Hardware`], builds on the host and is tested there with fakes;
//! - a physical interrupt that a partition owns is acknowledged and priority-dropped at EL2, stays *active* in the physical GIC, and
//!   is ended by the guest itself through a hardware-linked list register: one exit per delivery, no maintenance interrupt;
//! - no guest access reaches a physical register: a guest value changes the model first, and the model calls `Hardware` only for
//!   interrupts that the partition owns.
//!
//! Limits: no extended PPIs; at least two list registers.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod controller;
#[cfg(feature = "its")]
pub mod its_command;
mod list_register;
#[cfg(any(feature = "v2", feature = "v3"))]
pub mod phys;
#[cfg(feature = "probe")]
pub mod probe;
#[cfg(feature = "shared")]
mod shared;
pub mod virt;

pub use controller::{Acknowledged, CommonRegister, GicError, InterruptController, MAX_CPUS};
pub use list_register::{Announce, ListRegister, ListRegisters, LrState, MAX_LIST_REGISTERS};
#[cfg(feature = "shared")]
pub use shared::{InterfaceState, PrivateBank, PrivateState, SharedInterface};
