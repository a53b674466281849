//! What the hypervisor drives on a board. Each model knows what Non-secure software may do there and refuses the rest.

mod distributor;
mod ecam;
mod gicv2;
mod gicv3;
mod iommu;
mod its;
mod product;
mod uart;

pub use ecam::Ecam;
pub use gicv2::{GicV2, gicv2};
pub use gicv3::{GicV3, Lpis, gicv3};
pub use iommu::{Registers, Walker};
pub use its::{Facts, Its};
pub use product::Product;
pub use uart::{Kind, Uart};

/// An access of a width that the register does not take.
pub(crate) const WIDTH: &str = "not of this width";
/// Nothing is at the offset, in the manual or on this board.
pub(crate) const NOTHING: &str = "there is no register";
