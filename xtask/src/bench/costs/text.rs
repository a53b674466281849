//! The outcome as a table: for a terminal, and for a page.

use super::outcome::{Line, Outcome};

/// A figure of another hypervisor, and how many times ours it is.
fn beside(theirs: Option<u64>, ours: Option<u64>) -> String {
    let Some(theirs) = theirs else {
        return "–".to_owned();
    };
    match ours.filter(|ours| *ours > 0) {
        Some(ours) => format!("{theirs} ×{:.1}", theirs as f64 / ours as f64),
        None => theirs.to_string(),
    }
}

fn cell(value: Option<u64>) -> String {
    value.map_or("–".to_owned(), |value| value.to_string())
}

/// Everything of a row, in the order of [`Outcome::columns`].
fn cells(line: &Line) -> Vec<String> {
    let median = |sample: Option<systems::costs::Sample>| sample.map(|sample| sample.median);
    let (v3, v2, quoted) = (&line.gicv3, &line.gicv2, &line.quoted);
    let ours = median(v3.bulkhead);
    vec![
        line.title.clone(),
        cell(median(v3.bare)),
        cell(ours),
        line.bound.to_string(),
        if line.pass { "pass" } else { "FAIL" }.to_owned(),
        cell(median(v2.bulkhead)),
        beside(quoted.bao, ours),
        beside(quoted.hvisor, ours),
        beside(median(v3.xen).or(quoted.xen), ours),
        beside(median(v3.xen_null).or(quoted.xen_null), ours),
        beside(quoted.xen_rtds, ours),
    ]
}

fn heads(outcome: &Outcome) -> Vec<String> {
    let xen = outcome.xen_version.as_deref().unwrap_or("4.20");
    let heads = [
        "instructions",
        "bare",
        "GICv3",
        "bound",
        "",
        "GICv2",
        "Bao",
        "hvisor",
        &format!("Xen {xen}"),
        "Xen null",
        "Xen rtds",
    ];
    heads.map(str::to_owned).to_vec()
}

fn rows(outcome: &Outcome) -> Vec<Vec<String>> {
    std::iter::once(heads(outcome))
        .chain(outcome.rows.iter().map(cells))
        .collect()
}

/// Columns under one another: the first is text, the others are numbers.
pub fn table(outcome: &Outcome) -> String {
    let rows = rows(outcome);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let mut out = String::new();
    for row in &rows {
        for (column, text) in row.iter().enumerate() {
            let width = width(column).unwrap_or_default();
            out += &if column == 0 {
                format!("{text:<width$}")
            } else {
                format!("  {text:>width$}")
            };
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out + &notes(outcome)
}

/// A table as Markdown has it.
pub fn markdown(outcome: &Outcome) -> String {
    let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
    let rows = rows(outcome);
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        out += &line(row);
        if index == 0 {
            out += &format!("|{}\n", "---|".repeat(row.len()));
        }
    }
    out + "\n" + &notes(outcome)
}

/// Where the figures are from.
fn notes(outcome: &Outcome) -> String {
    let xen = match &outcome.xen_version {
        Some(version) => format!(
            "The bare machine and Xen {version} (credit2; null with vwfi=native) were measured in the same run."
        ),
        None => "The bare machine was measured in the same run, Xen was not: its columns are those of Xen 4.20.".to_owned(),
    };
    format!(
        "{xen}\nBao 738e3dc, hvisor 6a3fb78, Xen's wake-ups and its rtds (both 4.20) are quoted from earlier runs of our own of the same guest.\nThe bounds are for GICv3, those of wake-ups for both. × is how many times ours on GICv3.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::outcome::example;
    use super::*;

    #[test]
    fn row_above_its_bound_is_marked_in_the_table() {
        assert!(!table(&example(0, 0)).contains("FAIL"));
        assert_eq!(table(&example(1, 0)).matches("FAIL").count(), 1);
        assert_eq!(table(&example(0, 1)).matches("FAIL").count(), 3);
    }

    #[test]
    fn others_are_given_as_multiples_of_ours() {
        assert_eq!(beside(Some(194), Some(59)), "194 ×3.3");
        assert_eq!(beside(Some(194), None), "194");
        assert_eq!(beside(None, Some(59)), "–");
    }

    #[test]
    fn markdown_has_a_column_for_each_head() {
        let text = markdown(&example(0, 0));
        let bars: Vec<usize> = text
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.matches('|').count())
            .collect();
        assert!(
            bars.len() > 12 && bars.iter().all(|count| *count == bars[0]),
            "{text}"
        );
    }
}
