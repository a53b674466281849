//! What a run's partitions have done, as a table.

use qemu::statistics::{PartitionStatistics, Statistics};

/// One row a partition. `unit` is that of its figures.
pub fn table(statistics: &Statistics, unit: &str) -> String {
    let heading = [
        "partition",
        "state",
        "restarts",
        "faults",
        "exits",
        "dearest exit",
        "p50",
        "p999",
        "max",
        "exits by kind",
    ]
    .map(str::to_owned);
    let rows: Vec<[String; 10]> = std::iter::once(heading)
        .chain(statistics.partitions.iter().map(row))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].len())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..10).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text.push_str(&format!("The dearest exit is the kind whose usual cost is highest; p50, p999 and max are {unit} from exit to entry: at most, for half of that kind, for 999 in 1000, and for all."));
    text.push_str(" QEMU may switch to another CPU in the middle of an exit; p999 and max then have that CPU's instructions too.\n");
    text
}

fn row(partition: &PartitionStatistics) -> [String; 10] {
    let mut kinds: Vec<_> = partition.exits.iter().collect();
    kinds.sort_by_key(|exit| std::cmp::Reverse(exit.count));
    let kinds: Vec<String> = kinds
        .iter()
        .map(|exit| format!("{} {}", exit.kind, exit.count))
        .collect();
    let dearest = partition.dearest();
    let figure =
        |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    [
        partition.name.clone(),
        partition.state.clone(),
        partition.restarts.to_string(),
        partition.faults.to_string(),
        partition.exit_count().to_string(),
        dearest.map_or_else(|| "-".to_owned(), |exit| exit.kind.clone()),
        figure(dearest.map(|exit| exit.p50)),
        figure(dearest.map(|exit| exit.p999)),
        figure(dearest.map(|exit| exit.max)),
        kinds.join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use qemu::statistics::ExitStatistics;
    use std::collections::BTreeMap;

    fn statistics() -> Statistics {
        let exit = |kind: &str, count, p999, max| ExitStatistics {
            kind: kind.into(),
            count,
            short: 0,
            total: 9000,
            p50: 100,
            p999,
            max,
        };
        let partition = |name: &str, exits| PartitionStatistics {
            name: name.into(),
            state: "running".into(),
            restarts: 0,
            faults: 0,
            refused: BTreeMap::new(),
            exits,
            turns: Vec::new(),
        };
        Statistics {
            partitions: vec![
                partition(
                    "linux",
                    vec![exit("wfi", 2, 300, 400), exit("mmio", 90, 700, 900)],
                ),
                partition("rt", vec![]),
                partition("vandal", vec![]),
            ],
            masked: Vec::new(),
            trace: Vec::new(),
        }
    }

    #[test]
    fn row_shows_the_dearest_exit_and_all_kinds_by_count() {
        let text = table(&statistics(), "instructions");
        let row = text
            .lines()
            .find(|line| line.starts_with("linux "))
            .expect("row");
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(
            cells,
            [
                "linux", "running", "0", "0", "92", "mmio", "100", "700", "900", "mmio", "90,",
                "wfi", "2"
            ]
        );
    }

    #[test]
    fn partition_without_exits_has_a_row() {
        assert!(
            table(&statistics(), "ticks")
                .lines()
                .any(|line| line.starts_with("rt ") && line.contains(" - "))
        );
    }
}
