//! What a partition sees of its CPU: which CPUID leaves, which model-specific registers, which I/O ports. One policy, named here line by line, for
//! every partition.

pub mod cpuid;
pub mod efer;
pub mod hypercall;
pub mod interrupt;
pub mod msr;
pub mod power;
pub mod serial;
pub mod vmware;
