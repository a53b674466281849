//! Two runs: which rows have become dearer, which cheaper.

use systems::costs::CONTROLLERS;

use super::outcome::Outcome;

/// A row that is not what it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    title: String,
    controller: &'static str,
    before: u64,
    now: u64,
}

impl Change {
    /// It costs more than before.
    pub fn is_dearer(&self) -> bool {
        self.now > self.before
    }
}

/// All rows that both runs have, with other medians, the one that has grown most first.
pub fn changes(old: &Outcome, new: &Outcome) -> Vec<Change> {
    let mut changes = Vec::new();
    for line in &new.rows {
        let Some(before) = old.rows.iter().find(|old| old.name == line.name) else {
            continue;
        };
        for (index, controller) in CONTROLLERS.iter().enumerate() {
            let median = |line: &super::outcome::Line| {
                line.cells(index).bulkhead.map(|sample| sample.median)
            };
            let (Some(before), Some(now)) = (median(before), median(line)) else {
                continue;
            };
            if before != now {
                let title = line.title.clone();
                changes.push(Change {
                    title,
                    controller,
                    before,
                    now,
                });
            }
        }
    }
    let growth = |change: &Change| change.now as f64 / change.before.max(1) as f64;
    changes.sort_by(|a, b| growth(b).total_cmp(&growth(a)));
    changes
}

/// For people.
pub fn text(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "every row costs what it did before\n".to_owned();
    }
    let line = |change: &Change| {
        let word = if change.is_dearer() {
            "dearer "
        } else {
            "cheaper"
        };
        let Change {
            title,
            controller,
            before,
            now,
        } = change;
        format!("{word}  {title} ({controller}): {before} -> {now}\n")
    };
    changes.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::outcome::example;
    use super::*;

    #[test]
    fn run_compared_with_itself_has_no_change() {
        let one = example(0, 0);
        assert_eq!(changes(&one, &one), []);
        assert!(text(&[]).contains("every row"));
    }

    #[test]
    fn dearer_rows_are_named_with_both_figures_and_come_first() {
        let changes = changes(&example(0, 5), &example(40, 0));
        assert_eq!(changes.len(), 4);
        assert!(changes[0].is_dearer() && !changes[1].is_dearer());
        let text = text(&changes);
        assert!(
            text.starts_with("dearer   PSCI_VERSION round trip (gicv3): 60 -> 100\n"),
            "{text}"
        );
        assert!(
            text.contains("cheaper  wake-up on a shared CPU, p50 (gicv2): 1005 -> 1000\n"),
            "{text}"
        );
    }
}
