//! "Did you mean …?"

/// The candidate that differs least from `word`, if it differs by at most a third of its letters (at least one edit is allowed).
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    let scored = candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate));
    scored
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// A help line for a name that is unknown: the nearest one, or all of them.
pub(crate) fn suggestion(word: &str, candidates: &[&str]) -> Option<String> {
    if let Some(near) = nearest(word, candidates.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    if candidates.is_empty() {
        return None;
    }
    let list: Vec<String> = candidates.iter().map(|name| format!("`{name}`")).collect();
    Some(format!("known: {}", list.join(", ")))
}

/// Edit distance by Wagner and Fischer, where exchanging two neighbours is one edit (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                let exchanged: &Vec<usize> = &before_last;
                best = best.min(exchanged[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_word_finds_its_neighbour() {
        assert_eq!(
            nearest("memmory", ["name", "memory", "pool"]),
            Some("memory")
        );
        assert_eq!(nearest("cpsu", ["cpus", "policy"]), Some("cpus"));
    }

    #[test]
    fn unlike_word_finds_nothing_and_lists_all() {
        assert_eq!(nearest("colour", ["name", "memory"]), None);
        assert_eq!(
            suggestion("colour", &["name", "pool"]),
            Some("known: `name`, `pool`".into())
        );
    }
}
