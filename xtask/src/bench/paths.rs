//! Rows that one machine measures, held to their bounds: a table for people, or JSON.

use anyhow::Context;
use serde::Serialize;
use systems::costs::{Measured, Row, Sample, repeated};

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome {
    rows: Vec<Line>,
    /// All rows hold their bounds.
    pass: bool,
}

#[derive(Serialize)]
struct Line {
    name: String,
    title: String,
    bound: u64,
    least: u64,
    median: u64,
    most: u64,
    /// The median holds the bound.
    pass: bool,
}

/// Measures twice and prints the table. The status is 1 when a row is above its bound.
///
/// # Errors
/// It cannot be measured, or no two runs give the same numbers.
pub fn run(
    unit: &str,
    rows: Vec<Row>,
    json: bool,
    measure: impl Fn() -> anyhow::Result<Measured>,
) -> anyhow::Result<u8> {
    let measured = repeated(measure)?;
    let outcome = Outcome::new(rows, &measured)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print!("{}", outcome.table(unit));
    }
    Ok(u8::from(!outcome.pass))
}

impl Outcome {
    fn new(rows: Vec<Row>, measured: &Measured) -> anyhow::Result<Self> {
        let line = |row: Row| {
            let sample = measured.sample(&row.name);
            let sample = sample.with_context(|| format!("{} was not measured", row.name))?;
            Ok(Line::new(row, sample))
        };
        let rows = rows.into_iter().map(line);
        let rows = rows.collect::<anyhow::Result<Vec<Line>>>()?;
        Ok(Self {
            pass: rows.iter().all(|line| line.pass),
            rows,
        })
    }

    /// For people: one line a row.
    fn table(&self, unit: &str) -> String {
        let [least, median, most, bound] = ["least", "median", "most", "bound"];
        let mut out = format!("{unit:<46} {least:>7} {median:>7} {most:>7} {bound:>7}\n");
        for line in &self.rows {
            let verdict = if line.pass { "pass" } else { "FAIL" };
            out += &format!(
                "{:<46} {:>7} {:>7} {:>7} {:>7} {verdict}\n",
                line.title, line.least, line.median, line.most, line.bound
            );
        }
        out
    }
}

impl Line {
    fn new(row: Row, sample: Sample) -> Self {
        Self {
            pass: sample.median <= row.bound,
            name: row.name,
            title: row.title,
            bound: row.bound,
            least: sample.least,
            median: sample.median,
            most: sample.most,
        }
    }
}

#[cfg(test)]
mod tests {
    use systems::costs::Budget;

    use super::*;

    /// Every row at its bound, but the first `more` above.
    fn outcome(more: u64) -> Outcome {
        let rows = Budget::read().expect("budget").dma;
        let mut measured = Measured::default();
        for (index, row) in rows.iter().enumerate() {
            measured.add(&row.name, row.bound + if index == 0 { more } else { 0 });
        }
        Outcome::new(rows, &measured).expect("outcome")
    }

    #[test]
    fn rows_at_their_bounds_pass_and_one_above_fails_and_is_marked() {
        assert!(outcome(0).pass);
        assert_eq!(outcome(0).table("instructions").matches("FAIL").count(), 0);
        assert!(!outcome(1).pass);
        assert_eq!(outcome(1).table("instructions").matches("FAIL").count(), 1);
    }

    #[test]
    fn row_that_was_not_measured_is_an_error() {
        let rows = Budget::read().expect("budget").dma;
        assert!(Outcome::new(rows, &Measured::default()).is_err());
    }
}
