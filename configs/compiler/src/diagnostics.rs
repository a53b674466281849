//! What the compiler says about its inputs, shown the way rustc shows it.

use std::fmt::{self, Display, Write as _};
use std::ops::Range;
use std::path::Path;

use serde::Serialize;

use crate::codes::Code;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is built.
    Error,
    /// Built, but probably not what was meant.
    Warning,
}

/// A text that findings point into.
#[derive(Clone, Debug)]
pub struct SourceText {
    path: String,
    text: String,
}

impl SourceText {
    /// A text and the path that findings show for it.
    pub fn new(path: &Path, text: impl Into<String>) -> Self {
        Self {
            path: path.display().to_string(),
            text: text.into(),
        }
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a byte range of the text is; a range that runs over a line's end is cut there.
    fn locate(&self, span: Range<usize>) -> Location {
        let start = floor_char_boundary(&self.text, span.start);
        let end = floor_char_boundary(&self.text, span.end.max(start));
        let line_start = self.text[..start]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let line_end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |newline| start + newline);
        let shown = self.text[line_start..line_end].trim_end_matches('\r');
        Location {
            file: self.path.clone(),
            line: self.text[..line_start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            length: self.text[start..end.min(line_end)]
                .trim_end()
                .chars()
                .count()
                .max(1),
            text: shown.to_owned(),
        }
    }
}

/// The nearest character boundary at or below `index`, which may lie past the end.
fn floor_char_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    /// Path as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters are meant, at least 1.
    pub length: usize,
    /// The whole line.
    pub text: String,
}

/// One finding: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Its code, `BH` and four digits; see [`explain`](crate::explain).
    pub code: Code,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; `None` when a file could not be read at all.
    pub location: Option<Location>,
    /// The offending value.
    pub found: Option<String>,
    /// What would have been right.
    pub expected: Option<String>,
    /// Further facts, one a line.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding that stops the build.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            location: None,
            found: None,
            expected: None,
            notes: Vec::new(),
            help: None,
        }
    }

    /// A finding that does not.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// Points to a byte range of `source`.
    pub fn at(mut self, source: &SourceText, span: Range<usize>) -> Self {
        self.location = Some(source.locate(span));
        self
    }

    /// Names a file of which no line can be shown.
    pub fn in_file(mut self, path: &Path) -> Self {
        self.notes.push(format!("file: {}", path.display()));
        self
    }

    /// Adds the offending value.
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// Adds what would have been right.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds a fact.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn render(&self, paint: Paint, out: &mut String) {
        let (colour, word) = match self.severity {
            Severity::Error => (Paint::RED, "error"),
            Severity::Warning => (Paint::YELLOW, "warning"),
        };
        let title = paint.with(colour, &format!("{word}[{}]", self.code));
        let _ = writeln!(out, "{title}: {}", paint.with(Paint::BOLD, &self.message));
        let mut margin = 1;
        if let Some(place) = &self.location {
            let number = place.line.to_string();
            margin = number.len();
            let bar = paint.with(Paint::BLUE, "|");
            let arrow = paint.with(Paint::BLUE, "-->");
            let (file, line, column) = (&place.file, place.line, place.column);
            let _ = writeln!(out, "{:margin$}{arrow} {file}:{line}:{column}", "");
            let _ = writeln!(out, "{:margin$} {bar}", "");
            let _ = writeln!(
                out,
                "{} {bar} {}",
                paint.with(Paint::BLUE, &number),
                place.text
            );
            // Tabs stay tabs, so that the marks stand under the text at any tab width.
            let indent: String = place
                .text
                .chars()
                .take(place.column - 1)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let marks = paint.with(colour, &"^".repeat(place.length));
            let _ = writeln!(out, "{:margin$} {bar} {indent}{marks}", "");
        }
        let found = self.found.iter().map(|text| ("found", text));
        let expected = self.expected.iter().map(|text| ("expected", text));
        let notes = self.notes.iter().map(|text| ("note", text));
        let help = self.help.iter().map(|text| ("help", text));
        for (label, text) in found.chain(expected).chain(notes).chain(help) {
            let sign = paint.with(Paint::BLUE, "=");
            let _ = writeln!(
                out,
                "{:margin$} {sign} {}: {text}",
                "",
                paint.with(Paint::BOLD, label)
            );
        }
    }
}

impl Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.render(Paint { on: false }, &mut out);
        f.write_str(&out)
    }
}

/// All findings of a run, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// True when a finding stops the build.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|one| one.severity == Severity::Error)
    }

    /// How many findings there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The findings.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Sorts the findings by place, so that one reads them from the top of the file down.
    pub(crate) fn sort(&mut self) {
        let place = |one: &Diagnostic| {
            one.location
                .as_ref()
                .map(|at| (at.file.clone(), at.line, at.column))
        };
        self.0.sort_by_key(place);
    }

    /// The text of all findings with a closing count; with ANSI colours when `colour` is set.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint { on: colour };
        let mut out = String::new();
        for one in &self.0 {
            one.render(paint, &mut out);
            out.push('\n');
        }
        let count = |severity| self.0.iter().filter(|one| one.severity == severity).count();
        let errors = counted(count(Severity::Error), "error");
        let warnings = counted(count(Severity::Warning), "warning");
        let parts: Vec<String> = [errors, warnings].into_iter().flatten().collect();
        if !parts.is_empty() {
            let _ = writeln!(out, "{}", parts.join(", "));
        }
        out
    }
}

fn counted(count: usize, word: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{count} {word}s")),
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// Puts ANSI colours around a text, or leaves it alone.
#[derive(Clone, Copy)]
struct Paint {
    on: bool,
}

impl Paint {
    const RED: &'static str = "1;31";
    const YELLOW: &'static str = "1;33";
    const BLUE: &'static str = "1;34";
    const BOLD: &'static str = "1";

    fn with(self, colour: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    fn source() -> SourceText {
        SourceText::new(Path::new("a.toml"), "one = 1\n\ttwo = \"zwei\"\n")
    }

    #[test]
    fn finding_shows_code_place_marks_and_fix() {
        let one = Diagnostic::error(codes::WRONG_TYPE, "`two` is a string")
            .at(&source(), 15..21)
            .found("\"zwei\"")
            .expected("an integer")
            .help("write a number");
        let expected = "error[BH0104]: `two` is a string\n --> a.toml:2:8\n  |\n2 | \ttwo = \"zwei\"\n  | \t      ^^^^^^\n  = found: \"zwei\"\n  = expected: an integer\n  = help: write a number\n";
        assert_eq!(one.to_string(), expected);
    }

    #[test]
    fn span_past_the_end_points_to_the_last_line() {
        let one = Diagnostic::error(codes::SYNTAX, "cut off").at(&source(), 900..901);
        assert_eq!(one.location.map(|at| at.line), Some(3));
    }

    #[test]
    fn span_over_two_lines_is_marked_on_the_first() {
        let one = Diagnostic::error(codes::SYNTAX, "both").at(&source(), 0..20);
        assert_eq!(one.location.map(|at| (at.line, at.length)), Some((1, 7)));
    }

    #[test]
    fn colour_changes_nothing_but_escapes() {
        let all =
            Diagnostics::from(Diagnostic::warning(codes::UNUSED_POOL, "idle").at(&source(), 0..3));
        let coloured = all.render(true);
        assert!(coloured.contains("\x1b[1;33mwarning[BH0204]"));
        assert!(all.to_string().ends_with("1 warning\n"));
    }
}
