//! Tests of the `rtds` policy as a whole.

mod defects;
mod golden;
mod protocol;
mod reference;
mod supply;

use embassy_time::{Duration, Instant};

use crate::{Parameters, PcpuIndex, PcpuSet, Reservation, VcpuIndex};

fn v(index: u16) -> VcpuIndex {
    VcpuIndex::new(index)
}

fn p(index: u8) -> PcpuIndex {
    PcpuIndex::new(index)
}

fn ms(time: u64) -> Instant {
    Instant::from_millis(time)
}

/// Of one with a period and a budget in milliseconds that may run everywhere.
fn parameters(period: u64, budget: u64) -> Parameters {
    let [period, budget] = [period, budget].map(Duration::from_millis);
    Parameters {
        reservation: Reservation::new(period, budget).unwrap(),
        priority: 0,
        extra_time: false,
        affinity: PcpuSet::first(PcpuSet::MOST),
    }
}

fn with_extra_time(period: u64, budget: u64) -> Parameters {
    Parameters {
        extra_time: true,
        ..parameters(period, budget)
    }
}
