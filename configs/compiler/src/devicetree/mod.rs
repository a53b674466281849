//! Device trees: read, queried, built and written (Devicetree Specification 0.4).

pub(crate) mod addresses;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "windows of DMA are for PCI hosts, which are refused yet"
    )
)]
pub(crate) mod dma;
pub(crate) mod interrupts;
pub(crate) mod msi;
mod nexus;
mod overlay;
pub(crate) mod providers;
mod reader;
mod requesters;
pub(crate) mod specifiers;
pub(crate) mod streams;
mod tree;
mod writer;

pub(crate) use tree::{NodeId, Tree};

/// What is wrong with a device tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TreeError {
    /// The flattened format itself is broken.
    #[error("at byte {offset:#x}: {what}")]
    Format { offset: usize, what: &'static str },
    /// A property has an impossible value.
    #[error("{node}: `{property}` {what}")]
    Property {
        node: String,
        property: String,
        what: String,
    },
}
