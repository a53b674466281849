//! Failures of others, as the hypervisor tells them one by one.

use anyhow::Context;
use bulkhead_linux::{Control, Covered};
use model::call::{Call, MOST_VALUES, Status};
use model::monitor::Class;

/// No virtual CPU in particular.
const NO_VCPU: u64 = 0xff;

/// Prints each failure of which this partition was not told yet, and waits for more if that is wanted.
pub fn print(control: &mut Control, follow: bool) -> anyhow::Result<()> {
    if follow {
        // Before the first look: what comes between it and the wait ends the wait.
        control
            .listen()
            .context("no other partition notifies this one")?;
    }
    loop {
        loop {
            let answer = control.call(Call::Failure, 0)?;
            if answer.status == Status::NotPresent {
                break;
            }
            let answer = super::succeeded(answer)?;
            println!("{}", line(answer.values, control.covers()));
        }
        if !follow {
            return Ok(());
        }
        control.wait().context("cannot wait for the interrupt")?;
    }
}

fn line([who, ticks, pc, value, count]: [u64; MOST_VALUES], covers: &[Covered]) -> String {
    let (partition, class, vcpu) = (who & 0xff, who >> 8 & 0xff, who >> 16 & 0xff);
    let mut covers = covers.iter();
    let name = covers.find(|one| u64::from(one.number) == partition);
    let name = name.map_or_else(|| partition.to_string(), |one| one.name.clone());
    let mut classes = Class::ALL.into_iter();
    let class = classes.find(|one| *one as u64 == class);
    let class = class.map_or("unknown failure", Class::name);
    let vcpu = match vcpu {
        NO_VCPU => String::new(),
        vcpu => format!(", vCPU {vcpu}, pc {pc:#x}"),
    };
    format!("{name}: {class} {value:#x}{vcpu}, {count} of its class, at tick {ticks}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_told_by_name_and_class_as_far_as_they_are_known() {
        let covers = [Covered {
            name: "rt".to_owned(),
            number: 3,
            right: "watch".to_owned(),
        }];
        let by = |who| line([who, 42, 0x4000, 7, 2], &covers);
        assert_eq!(
            by(0x0503),
            "rt: guest-panic 0x7, vCPU 0, pc 0x4000, 2 of its class, at tick 42"
        );
        assert_eq!(by(0xff_0401), "1: watchdog 0x7, 2 of its class, at tick 42");
        assert!(by(0xff_7701).starts_with("1: unknown failure"));
    }
}
