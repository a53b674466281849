//! What presents its interrupts to a virtual CPU: the hardware's virtual CPU interface with its list registers, or a GICv2 CPU interface in
//! software. Only an image with a partition that wants the latter knows of it (feature `legacy`).

#[cfg(feature = "legacy")]
mod either;
#[cfg(not(feature = "legacy"))]
mod hardware;

#[cfg(feature = "legacy")]
pub use either::{Interface, Registers, access};
#[cfg(not(feature = "legacy"))]
pub use hardware::{Interface, Registers, access};

#[cfg(all(test, feature = "legacy"))]
mod tests;
