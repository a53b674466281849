//! What decisions of the `rtds` policy cost in instructions: the guest `decide` counts them on QEMU, the same on every machine.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use regex::Regex;
use rtds_experiments::{Chart, Line, Outcome, Row};

use super::counted_text;
use crate::build::Builder;
use crate::setup;

/// The experiment's name.
pub const NAME: &str = "instructions";
const SYSTEM: &str = "configs/qemu-virt-gicv3/decide.toml";

const EVENTS: [&str; 4] = ["wake", "sleep", "replenishment", "look"];
/// From the first to the second of these, a cost that is linear grows by 16.
const SIZES: [u64; 2] = [16, 256];
/// The most that it may grow in that range.
const GROWTH: f64 = 6.0;

/// Instructions of each event, by virtual CPUs.
type Costs = BTreeMap<u64, [f64; EVENTS.len()]>;

/// Runs the guest.
///
/// # Errors
/// The system does not build, or its guest does not measure.
pub fn run(builder: &Builder) -> anyhow::Result<Outcome> {
    setup::qemu(builder.steps(), builder.offline())?;
    let built = builder.build(&builder.workspace().root().join(SYSTEM))?;
    let text = counted_text(&built, ["decide", "^decide: (done|FAILED.*)$"])?;
    outcome(&text)
}

/// What the guest printed, judged.
fn outcome(text: &str) -> anyhow::Result<Outcome> {
    let pattern = r"(?m)^decide: pcpus=(\d+) vcpus=(\d+) wake=(\d+) sleep=(\d+) replenishment=(\d+) look=(\d+)\s*$";
    let mut measured: BTreeMap<u64, Costs> = BTreeMap::new();
    for found in Regex::new(pattern)?.captures_iter(text) {
        let [pcpus, vcpus, costs @ ..] = found.extract::<6>().1.map(str::parse::<u64>);
        let costs = costs.map(|cost| cost.map_or(f64::NAN, |cost| cost as f64));
        measured.entry(pcpus?).or_default().insert(vcpus?, costs);
    }
    ensure!(
        !measured.is_empty(),
        "the guest has measured nothing: {text}"
    );
    let mut outcome = Outcome {
        name: NAME,
        method: "instructions of each event with all that follows from it, counted by QEMU, in a guest's build".to_owned(),
        ..Outcome::default()
    };
    for (pcpus, costs) in &measured {
        let [few, many] = SIZES.map(|size| costs.get(&size));
        let few = few.with_context(|| format!("{} virtual CPUs were not measured", SIZES[0]))?;
        let many = many.with_context(|| format!("{} virtual CPUs were not measured", SIZES[1]))?;
        for ((event, few), many) in EVENTS.iter().zip(few).zip(many) {
            outcome.rows.push(row(*pcpus, event, *few, *many));
        }
        outcome.charts.push(chart(*pcpus, costs));
    }
    Ok(outcome)
}

/// "1 CPU", "4 CPUs".
fn cpus(count: u64) -> String {
    format!("{count} CPU{}", if count == 1 { "" } else { "s" })
}

fn row(pcpus: u64, event: &str, few: f64, many: f64) -> Row {
    let growth = many / few;
    let [from, to] = SIZES;
    Row::new(
        format!("{event} on {}, n = {from} and {to}", cpus(pcpus)),
        format!("{few:.0} and {many:.0} instructions, × {growth:.1}"),
        format!("× {GROWTH:.0} at most, for 16 times as many"),
        growth <= GROWTH,
    )
}

fn chart(pcpus: u64, costs: &Costs) -> Chart {
    let line = |(index, event): (usize, &&str)| Line {
        name: (*event).to_owned(),
        points: costs
            .iter()
            .filter_map(|(vcpus, costs)| Some((*vcpus as f64, *costs.get(index)?)))
            .collect(),
    };
    Chart {
        name: format!("{NAME}-{pcpus}"),
        title: format!("Instructions of a decision, {}", cpus(pcpus)),
        x: "virtual CPUs".to_owned(),
        y: "instructions".to_owned(),
        logarithmic: true,
        lines: EVENTS.iter().enumerate().map(line).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "decide: pcpus=1 vcpus=16 wake=100 sleep=90 replenishment=300 look=20\n\
        decide: pcpus=1 vcpus=256 wake=150 sleep=90 replenishment=2400 look=20\r\n\
        decide: done\n";

    #[test]
    fn cost_that_grows_with_the_number_of_virtual_cpus_fails() {
        let outcome = outcome(TEXT).expect("a measurement");
        let passes: Vec<bool> = outcome.rows.iter().map(|row| row.pass).collect();
        assert_eq!(passes, [true, true, false, true]);
        assert_eq!(outcome.rows[0].value, "100 and 150 instructions, × 1.5");
        assert_eq!(
            outcome.charts[0].lines[2].points,
            [(16.0, 300.0), (256.0, 2400.0)]
        );
    }

    #[test]
    fn guest_that_measured_too_little_is_an_error() {
        assert!(outcome("decide: FAILED").is_err());
        let few = TEXT.lines().next().unwrap();
        assert!(outcome(few).is_err());
    }
}
