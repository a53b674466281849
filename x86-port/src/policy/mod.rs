//! What a partition sees of its CPU: which CPUID leaves, which model-specific registers, which I/O ports. What none has is named here line by line; a
//! partition's [`CpuPolicy`](model::x86::cpu::CpuPolicy) takes features away from that.

pub mod cpuid;
pub mod efer;
pub mod hypercall;
pub mod interrupt;
pub mod msr;
pub mod power;
pub mod serial;
pub mod vmware;
pub mod xcr0;
