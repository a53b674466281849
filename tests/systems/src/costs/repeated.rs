//! A measurement that repeats: two runs with the same numbers, to the digit.

use anyhow::bail;

use super::Measured;

/// Measures until a run is equal to an earlier one: twice, and a third time if the first two differ. Under `-icount` they should not, but threads of QEMU beside
/// its virtual CPUs may disturb one sample of a thousand (seen once in some hundred runs: `timer-wfi` with 29 in place of 25 as its longest).
/// What differs is told on standard error.
///
/// # Errors
/// No two of three runs are equal: names the rows that differ. Or a run fails.
pub fn repeated(mut measure: impl FnMut() -> anyhow::Result<Measured>) -> anyhow::Result<Measured> {
    let first = measure()?;
    let second = measure()?;
    if first == second {
        return Ok(first);
    }
    let differences = first.differences(&second);
    eprintln!("a second run gives other numbers, a third one decides: {differences}");
    let third = measure()?;
    if third != first && third != second {
        bail!("no two of three runs give the same numbers: {differences}");
    }
    Ok(third)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Runs with these numbers, and how many there were.
    fn runs(numbers: &[u64]) -> (anyhow::Result<Measured>, usize) {
        let count = Cell::new(0);
        let outcome = repeated(|| {
            let mut measured = Measured::default();
            measured.add("row", numbers[count.get()]);
            count.set(count.get() + 1);
            Ok(measured)
        });
        (outcome, count.get())
    }

    #[test]
    fn two_equal_runs_are_enough() {
        let (outcome, count) = runs(&[5, 5]);
        assert_eq!(outcome.expect("equal").cost("row"), Some(5));
        assert_eq!(count, 2);
    }

    #[test]
    fn third_run_decides_between_two_that_differ() {
        assert_eq!(runs(&[5, 9, 5]).0.expect("equal").cost("row"), Some(5));
        assert_eq!(runs(&[9, 5, 5]).0.expect("equal").cost("row"), Some(5));
    }

    #[test]
    fn three_different_runs_are_an_error_that_names_the_row() {
        let error = runs(&[5, 6, 7]).0.expect_err("differs").to_string();
        assert!(
            error.contains("row min/p50/p99/max 5/5/5/5, then 6/6/6/6"),
            "{error}"
        );
    }
}
