//! What the guest `bench` prints.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::BOOT;

/// A row as it was measured.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Least.
    pub least: u64,
    /// Median.
    pub median: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Most.
    pub most: u64,
}

/// Rows by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured(BTreeMap<String, Sample>);

impl Measured {
    /// Reads the rows that the guest printed.
    ///
    /// # Errors
    /// A number is too large for one.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let row =
            Regex::new(r"(?m)^bench: (\S+) min=(\d+) p50=(\d+) p99=(\d+) max=(\d+) ticks\s*$")?;
        let mut rows = BTreeMap::new();
        for found in row.captures_iter(text) {
            let number = |group: usize| {
                let digits = &found[group];
                digits.parse().with_context(|| format!("bench: {digits}"))
            };
            let sample = Sample {
                least: number(2)?,
                median: number(3)?,
                p99: number(4)?,
                most: number(5)?,
            };
            rows.insert(found[1].to_owned(), sample);
        }
        Ok(Self(rows))
    }

    /// Adds rows that another guest printed.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn add_rows(&mut self, text: &str) -> anyhow::Result<()> {
        self.add_rows_as("", text)
    }

    /// The same, each name behind a prefix: the guest has printed the same rows in another system.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn add_rows_as(&mut self, prefix: &str, text: &str) -> anyhow::Result<()> {
        let rows = Self::read(text)?.0.into_iter();
        let named = rows.map(|(name, sample)| (format!("{prefix}{name}"), sample));
        self.0.extend(named);
        Ok(())
    }

    /// Adds when the guest started: its text on a machine with one CPU.
    ///
    /// # Errors
    /// The text does not say it.
    pub fn add_boot(&mut self, text: &str) -> anyhow::Result<()> {
        let line = Regex::new(r"(?m)^bench: started at (\d+)\s*$")?;
        let found = line
            .captures(text)
            .context("bench did not say when it started")?;
        self.add(BOOT, found[1].parse()?);
        Ok(())
    }

    /// Adds how late the guest `wake` woke up, by the last line in which it says so: rows `wake-p50`, `wake-p99` and `wake-max`.
    ///
    /// # Errors
    /// It did not say so, or missed a deadline.
    pub fn add_wake(&mut self, text: &str) -> anyhow::Result<()> {
        self.add_lateness(text, "0")
            .context("wake did not say that it woke up in time")
    }

    /// The same, whatever it missed.
    ///
    /// # Errors
    /// It did not say so.
    pub fn add_late_wake(&mut self, text: &str) -> anyhow::Result<()> {
        self.add_lateness(text, r"\d+")
    }

    /// By the last line in which so many deadlines were missed.
    fn add_lateness(&mut self, text: &str, missed: &str) -> anyhow::Result<()> {
        let line = Regex::new(&format!(
            r"(?m)^wake: late .*p50=(\d+) p99=(\d+) max=(\d+) ns, missed {missed}, "
        ))?;
        let found = line.captures_iter(text).last();
        let found = found.context("wake did not say how late it was")?;
        for (group, row) in [(1, "wake-p50"), (2, "wake-p99"), (3, "wake-max")] {
            self.add(row, found[group].parse()?);
        }
        Ok(())
    }

    /// Adds rows of single samples, each in a line of its own.
    ///
    /// # Errors
    /// A number is too large for one.
    pub fn add_samples(&mut self, text: &str) -> anyhow::Result<()> {
        let line = Regex::new(r"(?m)bench: (\S+) (\d+) ticks\s*$")?;
        let mut rows = BTreeMap::<&str, Vec<u64>>::new();
        for found in line.captures_iter(text) {
            let (_, [row, ticks]) = found.extract();
            rows.entry(row).or_default().push(ticks.parse()?);
        }
        for (row, mut ticks) in rows {
            ticks.sort_unstable();
            let at = |share: usize| ticks[(ticks.len() - 1) * share / 100];
            let [least, median, p99, most] = [0, 50, 99, 100].map(at);
            let sample = Sample {
                least,
                median,
                p99,
                most,
            };
            self.0.insert(row.to_owned(), sample);
        }
        Ok(())
    }

    /// Adds a row that is one number.
    pub fn add(&mut self, name: &str, value: u64) {
        let sample = Sample {
            least: value,
            median: value,
            p99: value,
            most: value,
        };
        self.0.insert(name.to_owned(), sample);
    }

    /// What a row costs: its median. `None` when it was not measured.
    pub fn cost(&self, name: &str) -> Option<u64> {
        self.sample(name).map(|sample| sample.median)
    }

    /// The rows that are not the same in `other`, with both figures, for people.
    pub(super) fn differences(&self, other: &Self) -> String {
        let show = |sample: Option<Sample>| match sample {
            Some(Sample {
                least,
                median,
                p99,
                most,
            }) => format!("{least}/{median}/{p99}/{most}"),
            None => "none".to_owned(),
        };
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let rows = names.into_iter().filter_map(|name| {
            let [ours, theirs] = [self, other].map(|measured| measured.sample(name));
            let row = || {
                format!(
                    "{name} min/p50/p99/max {}, then {}",
                    show(ours),
                    show(theirs)
                )
            };
            (ours != theirs).then(row)
        });
        rows.collect::<Vec<String>>().join("; ")
    }

    /// A row. `None` when it was not measured.
    pub fn sample(&self, name: &str) -> Option<Sample> {
        self.0.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_other_lines_are_not() {
        let text = "bench: 2 CPUs\nbench: sgi-self min=1 p50=2 p99=3 max=4 ticks\nbench: done\n";
        let measured = Measured::read(text).expect("rows");
        assert_eq!(measured.cost("sgi-self"), Some(2));
        assert_eq!(measured.0.len(), 1);
    }

    #[test]
    fn rows_of_two_systems_have_names_of_their_own() {
        let text = |cost: u64| format!("bench: out min=1 p50={cost} p99=8 max=9 ticks\n");
        let mut measured = Measured::read(&text(2)).expect("rows");
        measured.add_rows_as("shared-", &text(3)).expect("rows");
        let costs = ["out", "shared-out"].map(|row| measured.cost(row));
        assert_eq!(costs, [Some(2), Some(3)]);
        assert!(
            measured
                .add_rows_as("", &text(u64::MAX).replace("p50=", "p50=9"))
                .is_err()
        );
    }

    #[test]
    fn start_is_a_row_of_one_number() {
        let mut measured = Measured::default();
        measured
            .add_boot("bench: started at 288241\r\n")
            .expect("start");
        assert_eq!(measured.cost(BOOT), Some(288_241));
        assert!(measured.add_boot("bench: done").is_err());
    }

    #[test]
    fn last_line_of_a_guest_that_wakes_is_three_rows() {
        let line = |late: u64| {
            format!("wake: late min=1 p50=2 p99=3 max={late} ns, missed 0, 500 sleeps\r\n")
        };
        let mut measured = Measured::default();
        measured.add_wake(&(line(9) + &line(4))).expect("lines");
        let costs = ["wake-p50", "wake-p99", "wake-max"].map(|row| measured.cost(row));
        assert_eq!(costs, [Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn missed_deadline_is_an_error() {
        let text = "wake: late min=1 p50=2 p99=3 max=4 ns, missed 1, 500 sleeps\n";
        assert!(Measured::default().add_wake(text).is_err());
    }

    #[test]
    fn single_samples_are_a_row_with_their_least_median_and_most() {
        let line = |ticks: u64| format!("[hv] bench: a {ticks} ticks\r\n");
        let text = [9, 1, 5].map(line).concat() + "[hv] bench: b 7 ticks\n[hv] a: started\n";
        let mut measured = Measured::default();
        measured.add_samples(&text).expect("samples");
        let a = measured.sample("a").expect("a row");
        assert_eq!((a.least, a.median, a.most), (1, 5, 9));
        assert_eq!(measured.cost("b"), Some(7));
        let endless = "bench: a 99999999999999999999999 ticks\n";
        assert!(measured.add_samples(endless).is_err());
    }

    #[test]
    fn number_that_no_counter_has_is_an_error() {
        let text = "bench: a min=1 p50=99999999999999999999999 p99=3 max=4 ticks\n";
        assert!(Measured::read(text).is_err());
    }
}
