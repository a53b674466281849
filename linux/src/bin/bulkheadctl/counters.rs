//! What was counted of another partition since boot.

use std::thread::sleep;
use std::time::Duration;

use anyhow::bail;
use bulkhead_linux::{Answer, Control};
use model::call::{Call, Status};
use model::counter::Counter;
use model::exit::ExitKind;
use model::monitor::Class;

/// How long the shared CPUs may take to lay their counters open: tries, and the pause before each but the first.
const TRIES: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(1);

/// Prints a line of exits by kind, one of failures by class, and one of turns for each virtual CPU, as far as they are counted.
pub fn print(control: &Control, partition: u64) -> anyhow::Result<()> {
    let exits = ExitKind::ALL.map(ExitKind::name);
    let failures = Class::ALL.map(Class::name);
    let mut number = 0;
    for (what, names) in [("exits", exits), ("failures", failures)] {
        let mut line = what.to_owned();
        for name in names {
            let answer = control.call(Call::Count, super::numbered(partition, number)?)?;
            line += &format!(" {name}={}", super::succeeded(answer)?.values[0]);
            number += 1;
        }
        println!("{line}");
    }
    let mut ask = |number| Ok(control.call(Call::Count, super::numbered(partition, number)?)?);
    for vcpu in 0.. {
        match turns(vcpu, &mut ask)? {
            Some(line) => println!("{line}"),
            None => break,
        }
    }
    Ok(())
}

/// The line of a virtual CPU; `None` when nothing is counted of it, or the partition does not have it.
fn turns(
    vcpu: u64,
    ask: &mut impl FnMut(u64) -> anyhow::Result<Answer>,
) -> anyhow::Result<Option<String>> {
    let mut line = format!("turns vcpu={vcpu}");
    for counter in Counter::ALL {
        match count(counter as u64 | (vcpu + 1) << 8, ask)? {
            Some(count) => line += &format!(" {}={count}", counter.name()),
            None if counter == Counter::Entries => return Ok(None),
            None => {}
        }
    }
    Ok(Some(line))
}

/// A count; `None` when there is none of that number.
fn count(
    number: u64,
    ask: &mut impl FnMut(u64) -> anyhow::Result<Answer>,
) -> anyhow::Result<Option<u64>> {
    for _ in 0..TRIES {
        let answer = ask(number)?;
        match answer.status {
            Status::InvalidParameters => return Ok(None),
            Status::NotPresent => sleep(PAUSE),
            _ => return Ok(Some(super::succeeded(answer)?.values[0])),
        }
    }
    bail!("its CPU does not answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_the_counters_of_one_virtual_cpu_as_soon_as_they_are_there() {
        let answer = |status, value| Answer {
            status,
            values: [value, 0, 0, 0, 0],
        };
        let mut asked = 0;
        let mut ask = |number| {
            asked += 1;
            Ok(match number {
                0x200 => answer(Status::Success, 7),
                0x202 if asked < 5 => answer(Status::NotPresent, 0),
                0x202 => answer(Status::Success, 1_000),
                _ => answer(Status::InvalidParameters, 0),
            })
        };
        let line = turns(1, &mut ask).unwrap();
        assert_eq!(line.as_deref(), Some("turns vcpu=1 entries=7 supply=1000"));
        assert_eq!(turns(2, &mut ask).unwrap(), None);
    }

    #[test]
    fn count_that_is_denied_or_never_comes_is_an_error() {
        for status in [Status::Denied, Status::NotPresent] {
            let mut ask = |_| {
                Ok(Answer {
                    status,
                    values: [0; 5],
                })
            };
            assert!(turns(0, &mut ask).is_err(), "{status:?}");
        }
    }
}
