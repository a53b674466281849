//! What guests get of CPUs that they share, on QEMU with one instruction a nanosecond: the bars that only the whole image can show.

use std::fs;

use rtds_experiments::{Outcome, Row};
use systems::costs::CONTROLLERS;
use systems::shares::{self, ENFORCEMENT, figure};
use systems::system_file::SystemFile;

use super::{PATIENCE, start_counting};
use crate::build::Builder;
use crate::setup;

/// The experiment's name.
pub const NAME: &str = "turns";

/// The last line of a guest that measures its turns.
const MEASURED: &str = "^busy: counted .*$";

/// Runs three systems on each interrupt controller.
///
/// # Errors
/// A system does not build, or a guest does not measure.
pub fn run(builder: &Builder) -> anyhow::Result<Outcome> {
    setup::qemu(builder.steps(), builder.offline())?;
    let mut outcome = Outcome {
        name: NAME,
        method:
            "busy guests on QEMU, one instruction being one nanosecond, 50 periods of 10 ms each"
                .to_owned(),
        ..Outcome::default()
    };
    for gic in CONTROLLERS {
        let board = format!("qemu-virt-{gic}");
        outcome.rows.extend(supply(builder, &board)?);
        outcome.rows.extend(windows(builder, &board)?);
        outcome.rows.push(entries(builder, &board)?);
    }
    Ok(outcome)
}

/// The figures that the guests of a system print, a row for each guest.
fn measure<const FIELDS: usize>(
    builder: &Builder,
    system: &SystemFile,
    guests: &[&str],
    fields: [&str; FIELDS],
) -> anyhow::Result<Vec<[u64; FIELDS]>> {
    let folder = builder.output().join("bench").join(NAME);
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}.toml", system.name()));
    fs::write(&file, system.text())?;
    let mut session = start_counting(&builder.build(&file)?, &[])?;
    let mut measured = Vec::new();
    for guest in guests {
        session.wait_for(guest, MEASURED, PATIENCE)?;
        let mut row = [0; FIELDS];
        for (value, field) in row.iter_mut().zip(fields) {
            *value = figure(&session, guest, field)?;
        }
        measured.push(row);
    }
    session.finish();
    Ok(measured)
}

/// Each of two busy guests gets its budget in each period.
fn supply(builder: &Builder, board: &str) -> anyhow::Result<Vec<Row>> {
    let guests = shares::TWO_BUSY.map(|(name, _)| name);
    let system = shares::two_busy(board, "busy");
    let measured = measure(builder, &system, &guests, ["min", "max"])?;
    let rows = shares::TWO_BUSY.iter().zip(measured);
    let rows = rows.map(|((_, budget), figures)| share(board, *budget, figures));
    Ok(rows.collect())
}

/// The least and the most that a guest got of a period, beside its budget.
fn share(board: &str, budget: u64, [least, most]: [u64; 2]) -> Row {
    Row::new(
        format!("{board}: (10, {}) ms gets in a period", budget / 1_000_000),
        format!("{least} to {most} ns"),
        format!("within {ENFORCEMENT} ns of its budget, what enforcing one may cost"),
        least + ENFORCEMENT >= budget && most <= budget + ENFORCEMENT,
    )
}

/// Each window of a frame begins when the frame says so.
fn windows(builder: &Builder, board: &str) -> anyhow::Result<Vec<Row>> {
    let guests = shares::TWO_IN_WINDOWS.map(|(name, ..)| name);
    let system = shares::two_in_windows(board, "busy");
    let measured = measure(builder, &system, &guests, ["windows", "missed", "lateness"])?;
    let row = |[begun, missed, late]: [u64; 3]| {
        Row::new(
            format!("{board}: windows missed of {begun}, latest begin of one"),
            format!("{missed}, {late} ns"),
            format!("0, at most {ENFORCEMENT} ns"),
            begun > 0 && missed == 0 && late <= ENFORCEMENT,
        )
    };
    Ok(measured.into_iter().map(row).collect())
}

/// A CPU with one virtual CPU never enters a scheduler, beside one that is shared.
fn entries(builder: &Builder, board: &str) -> anyhow::Result<Row> {
    let measured = measure(
        builder,
        &shares::one_alone(board),
        &["own", "one"],
        ["entries"],
    )?;
    let [own, shared] = [0, 1].map(|guest: usize| measured.get(guest).map_or(0, |row| row[0]));
    Ok(Row::new(
        format!("{board}: scheduler entries of a dedicated CPU, beside a shared one"),
        format!("{own}, {shared}"),
        "0, more than 0",
        own == 0 && shared > 0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_that_gets_more_or_less_than_its_budget_fails() {
        let pass = |figures| share("a board", 6_000_000, figures).pass;
        assert!(pass([6_000_000 - ENFORCEMENT, 6_000_000 + ENFORCEMENT]));
        assert!(!pass([6_000_000 - ENFORCEMENT - 1, 6_000_000]));
        assert!(!pass([6_000_000, 6_000_000 + ENFORCEMENT + 1]));
    }
}
