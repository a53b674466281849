//! What most likely made a text no TOML. The parser says where reading failed; people need to know what to type.

use std::ops::Range;

/// A help line for a syntax error with this message at this place.
pub(super) fn help(text: &str, span: Range<usize>, message: &str) -> String {
    let line = line_at(text, span.start);
    if let Some((key, value)) = unquoted_size(line) {
        return format!("put the value and its unit in quotes: `{key} = \"{value}\"`");
    }
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let fixed = if repeats_table(text, span.start, message) {
        "this table is there already: keep one; each further partition begins with `[[partition]]`"
    } else if has(&["duplicate key"]) {
        "it is there already: keep one of the two"
    } else if line.ends_with('=') {
        "write a value after the `=`"
    } else if has(&["must be quoted"]) && line.contains('[') {
        "put commas between the elements, and quotes around those that are no numbers"
    } else if has(&["must be quoted"]) {
        "put the value in quotes: `key = \"value\"`"
    } else if has(&["basic string", "literal string"]) {
        "close the string with a quote on the same line"
    } else if has(&["no value", "missing assignment"]) {
        "write `key = value`"
    } else if has(&["unclosed"]) {
        "add the closing bracket"
    } else if has(&["missing comma"]) {
        "add a comma between the elements"
    } else {
        "write one `key = value`, `[table]` or `[[table]]` a line, and check the quotes, brackets and commas here and just before"
    };
    fixed.to_owned()
}

/// True when the error says that a table's header is there for the second time.
fn repeats_table(text: &str, index: usize, message: &str) -> bool {
    message.contains("duplicate key") && line_at(text, index).starts_with('[')
}

/// Where the table ends whose header is there for the second time; the parser complains about each of its fields again.
/// `None` for every other error.
pub(super) fn repeated_table_end(text: &str, index: usize, message: &str) -> Option<usize> {
    let next_header = || text.get(index..)?.find("\n[").map(|at| index + at);
    repeats_table(text, index, message).then(|| next_header().unwrap_or(text.len()))
}

/// The line around a byte, without its indent and comment. Any index will do.
fn line_at(text: &str, index: usize) -> &str {
    let (before, after) = text.split_at_checked(index).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = before.len() + after.find('\n').unwrap_or(after.len());
    let line = text.get(start..end).unwrap_or("");
    line.split('#').next().unwrap_or("").trim()
}

/// The key and the value of a line like `memory = 256 MiB`, the value without its blanks.
fn unquoted_size(line: &str) -> Option<(&str, String)> {
    let (key, value) = line.split_once('=')?;
    let value: String = value.split_whitespace().collect();
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number
            .chars()
            .all(|c| c.is_ascii_digit() || c == '_' || c == '.');
    (is_number && number.len() < value.len()).then(|| (key.trim(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;
    use crate::diagnostics::{Diagnostics, SourceText};
    use crate::raw::reader::parse;

    /// What the parser and this file say about a text together.
    fn first_help(text: &str) -> String {
        let source = SourceText::new(std::path::Path::new("t.toml"), text);
        let mut findings = Diagnostics::default();
        parse(&source, &mut findings);
        let first = findings.iter().next().unwrap();
        assert_eq!(first.code, codes::SYNTAX);
        first.help.clone().unwrap()
    }

    #[test]
    fn size_without_quotes_is_shown_in_quotes() {
        let help = first_help("[p]\n  memory = 256 MiB # for Linux\n");
        assert!(help.ends_with("`memory = \"256MiB\"`"), "{help}");
    }

    #[test]
    fn word_without_quotes_wants_quotes() {
        assert!(first_help("policy = dedicated\n").contains("quotes"));
    }

    #[test]
    fn each_common_slip_has_a_help_of_its_own() {
        let slips = [
            ("name = \"one\npool = \"a\"\n", "close the string"),
            ("name = 'one\npool = \"a\"\n", "close the string"),
            ("name \"one\"\n", "`key = value`"),
            ("name\n", "`key = value`"),
            ("name =\n", "after the `=`"),
            ("a = 1\na = 2\n", "keep one of the two"),
            ("[t]\na = 1\n[t]\nb = 2\n", "this table is there already"),
            ("cpus = [0, 1\n", "closing bracket"),
            ("cpus = [0 1]\n", "commas between"),
            ("[t\n", "closing bracket"),
        ];
        for (text, wanted) in slips {
            let help = first_help(text);
            assert!(help.contains(wanted), "{text}: {help}");
        }
    }

    #[test]
    fn place_past_the_end_or_inside_a_character_gives_a_help() {
        assert!(!help("ä", 1..1, "").is_empty());
        assert!(!help("a", 9..9, "").is_empty());
    }
}
