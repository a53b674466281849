//! What the decisions of the `rtds` policy cost, in ticks of the system counter: with QEMU's `-icount` an instruction each.
//!
//! The policy is the very crate of the hypervisor, without a hypervisor's registers and switches around it.
#![no_std]
#![no_main]

mod pool;

use board::{Board, cpu, println, psci};
use embassy_time::Instant;
use rtds::Rtds;
use static_cell::ConstStaticCell;

use pool::{Pool, ROOM};

/// Measures one size in memory of its own: no policy is ever moved.
macro_rules! measure {
    ($pcpus:literal: $($vcpus:literal)*) => {$({
        static POLICY: ConstStaticCell<Rtds<ROOM, $pcpus>> = ConstStaticCell::new(Rtds::new(Instant::MIN));
        match Pool::new(POLICY.take(), $vcpus) {
            Some(mut pool) => {
                let cost = pool.measure();
                println!(
                    "decide: pcpus={} vcpus={} wake={} sleep={} replenishment={} look={}",
                    $pcpus, $vcpus, cost.wake, cost.sleep, cost.replenishment, cost.look
                );
            }
            None => println!("decide: FAILED, there is no room for {} virtual CPUs", $vcpus),
        }
    })*};
}

board::entry!(main);

fn main(_: &'static Board) -> ! {
    cpu::mask_interrupts();
    measure!(1: 4 8 16 32 64 128 256);
    measure!(4: 4 8 16 32 64 128 256);
    measure!(16: 4 8 16 32 64 128 256);
    println!("decide: done");
    psci::system_off()
}
