//! `cargo xtask bench masked`: for how long interrupts are masked at most while a guest attacks, and how late its neighbour on the same CPU wakes up.

use std::fmt::Write as _;

use anyhow::Context;
use serde::Serialize;
use systems::attacks::{self, ATTACKS, MASKED, has_channel};
use systems::costs::{Budget, CONTROLLERS};

use super::{PATIENCE, start_counting};
use crate::build::Builder;
use crate::setup;

/// Rounds of twenty wake-ups for each attack.
const ROUNDS: usize = 3;

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome {
    rows: Vec<Line>,
    /// All rows hold their bounds.
    pass: bool,
}

/// An attack, in nanoseconds, which are instructions.
#[derive(Serialize)]
struct Line {
    attack: &'static str,
    controller: &'static str,
    /// The longest time for which no interrupt was looked for.
    masked: u64,
    masked_bound: u64,
    /// Why the hypervisor was entered then.
    cause: String,
    /// How late the neighbour woke up at most.
    late: u64,
    late_bound: u64,
    pass: bool,
}

/// Runs every attack on a CPU that it shares with a victim. The status is 1 when one is above a bound.
///
/// # Errors
/// A system does not build or run, or a guest found something wrong.
pub fn run(builder: &Builder, json: bool) -> anyhow::Result<u8> {
    setup::qemu(builder.steps(), builder.offline())?;
    let budget = Budget::read()?;
    let mut rows = Vec::new();
    for controller in CONTROLLERS {
        let folder = builder.output().join("bench").join(MASKED);
        std::fs::create_dir_all(&folder)?;
        for channel in [false, true] {
            let system = attacks::on_a_shared_cpu(controller, channel);
            let file = folder.join(format!("{controller}-{channel}.toml"));
            std::fs::write(&file, system.text())?;
            let built = builder.build_with(&file, &[MASKED])?;
            let attacks = ATTACKS.into_iter();
            for (letter, attack) in attacks.filter(|(_, name)| has_channel(name) == channel) {
                let mut session = start_counting(&built, &[])?;
                let found = attacks::attack(&mut session, letter, attack, ROUNDS, PATIENCE)?;
                let measured = session.statistics(PATIENCE)?.masked;
                let measured = measured
                    .into_iter()
                    .next()
                    .context("nothing was measured")?;
                session.finish();
                let bound = budget.attack(attack)?;
                rows.push(Line {
                    attack,
                    controller,
                    pass: measured.longest <= bound.masked
                        && found.latest <= bound.late
                        && found.missed == 0,
                    masked: measured.longest,
                    masked_bound: bound.masked,
                    cause: measured.cause,
                    late: found.latest,
                    late_bound: bound.late,
                });
            }
        }
    }
    let outcome = Outcome {
        pass: rows.iter().all(|row| row.pass),
        rows,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print!("{}", table(&outcome.rows)?);
    }
    Ok(u8::from(!outcome.pass))
}

/// For people: one line a row.
fn table(rows: &[Line]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let [attack, masked, late, bound] = ["attack", "masked", "late", "bound"];
    writeln!(
        out,
        "{attack:<22} {:<6} {masked:>7} {bound:>7} {late:>7} {bound:>7}",
        ""
    )?;
    for row in rows {
        let verdict = if row.pass { "pass" } else { "FAIL" };
        writeln!(
            out,
            "{:<22} {:<6} {:>7} {:>7} {:>7} {:>7} {verdict}  {}",
            row.attack,
            row.controller,
            row.masked,
            row.masked_bound,
            row.late,
            row.late_bound,
            row.cause
        )?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_has_a_row_and_no_row_names_another() {
        let budget = Budget::read().expect("budget");
        for (_, attack) in ATTACKS {
            assert!(budget.attack(attack).is_ok(), "{attack}");
        }
        let names = budget.attacks.iter().flat_map(|row| &row.names);
        for name in names {
            assert!(ATTACKS.iter().any(|(_, attack)| attack == name), "{name}");
        }
    }
}
