//! What the health monitor has to tell.

use hv::monitor::Failure;
use hv::monitor::control::Order;
use model::PartitionId;
use model::monitor::Class;

use crate::System;

/// A failure without a message of its own.
pub fn failed<S: System>(partition: PartitionId, failure: &Failure, count: u64) {
    let name = S::name(partition);
    match (failure.class, failure.vcpu) {
        (Class::GuestPanic, _) => defmt::warn!(
            "{=str}: its software says that it has failed, code {=u64:#x}, pc {=u64:#x}: {=u64} times",
            name,
            failure.value,
            failure.pc,
            count
        ),
        (Class::Watchdog, _) => defmt::warn!(
            "{=str}: did not say in time that it is alive: {=u64} times",
            name,
            count
        ),
        (Class::InterruptStorm, _) => defmt::warn!(
            "{=str}: interrupt storm, {=u64} a second: {=u64} times",
            name,
            failure.value,
            count
        ),
        (Class::MissedBudget, vcpu) => defmt::warn!(
            "{=str}: vCPU {=u8} has missed its budget in {=u64} periods: {=u64} times",
            name,
            vcpu.map_or(0, model::VcpuId::get),
            failure.value,
            count
        ),
        (class, vcpu) => defmt::warn!(
            "{=str}: {=istr} {=u64}: vCPU {=u8} by {=u64:#x}, pc {=u64:#x}",
            name,
            word(class),
            count,
            vcpu.map_or(0, model::VcpuId::get),
            failure.value,
            failure.pc
        ),
    }
}

/// It is started again.
pub fn restarting<S: System>(partition: PartitionId, class: Class, number: u32) {
    let monitor = S::monitor(partition);
    let pause = monitor.map_or(0, |monitor| monitor.back_off / 1_000_000);
    match monitor.and_then(|monitor| monitor.limit) {
        Some(limit) => defmt::warn!(
            "{=str}: restart {=u32} of at most {=u32} in {=u64} ms: {=istr}",
            S::name(partition),
            number,
            limit,
            pause,
            word(class)
        ),
        None => defmt::warn!(
            "{=str}: restart {=u32} in {=u64} ms: {=istr}",
            S::name(partition),
            number,
            pause,
            word(class)
        ),
    }
}

/// It is not.
pub fn limit_reached<S: System>(partition: PartitionId, class: Class, restarts: u32) {
    defmt::error!(
        "{=str}: not started again after {=u32} restarts, the limit: {=istr}",
        S::name(partition),
        restarts,
        word(class)
    );
}

/// It does not start by itself.
pub fn held<S: System>(partition: PartitionId) {
    defmt::info!("{=str}: waits until it is started", S::name(partition));
}

/// Another partition has given an order.
pub fn controlled<S: System>(by: PartitionId, partition: PartitionId, order: Order) {
    let order = match order {
        Order::Start => defmt::intern!("start"),
        Order::Stop => defmt::intern!("stop"),
        Order::Restart => defmt::intern!("restart"),
        Order::Suspend => defmt::intern!("suspend"),
        Order::Resume => defmt::intern!("resume"),
    };
    defmt::info!(
        "{=str}: {=istr}, says {=str}",
        S::name(partition),
        order,
        S::name(by)
    );
}

fn word(class: Class) -> defmt::Str {
    match class {
        Class::IllegalAccess => defmt::intern!("illegal access"),
        Class::UndefinedTrap => defmt::intern!("undefined instruction"),
        Class::HypercallAbuse => defmt::intern!("refused call"),
        Class::IommuFault => defmt::intern!("refused DMA"),
        Class::Watchdog => defmt::intern!("watchdog"),
        Class::GuestPanic => defmt::intern!("guest panic"),
        Class::InterruptStorm => defmt::intern!("interrupt storm"),
        Class::MissedBudget => defmt::intern!("missed budget"),
    }
}
