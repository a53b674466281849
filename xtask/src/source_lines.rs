//! Counts what of a Rust source file is compiled into an image: lines that are neither blank, comment nor test, and `unsafe` blocks.

/// The count of one or more files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Lines with code outside tests.
    pub lines: usize,
    /// `unsafe { … }` blocks outside tests.
    pub unsafe_blocks: usize,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.unsafe_blocks += other.unsafe_blocks;
    }
}

/// Counts one file.
pub fn count(source: &str) -> Count {
    let code = without_tests(&blank_comments_and_strings(source));
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    let words: Vec<&str> = code.split_whitespace().collect();
    let spaced = words.join(" ");
    let starts_word =
        |at: usize| !spaced[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let unsafe_blocks = spaced
        .match_indices("unsafe")
        .filter(|&(at, word)| {
            starts_word(at) && spaced[at + word.len()..].trim_start().starts_with('{')
        })
        .count();
    Count {
        lines,
        unsafe_blocks,
    }
}

/// The modules in files of their own that a source declares for tests or a feature only. An image's crates have no feature turned on.
pub fn left_out_modules(source: &str) -> Vec<&str> {
    source
        .split("#[cfg(")
        .skip(1)
        .filter_map(|item| {
            let (condition, item) = item.split_once(")]")?;
            if condition != "test" && !condition.starts_with("any(test, feature = ") {
                return None;
            }
            let item = item.trim_start().trim_start_matches("pub ");
            let name = item.strip_prefix("mod ")?;
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            name[end..].starts_with(';').then_some(&name[..end])
        })
        .collect()
}

/// The source with comments replaced by blanks and the insides of literals by `x`, line by line as before.
fn blank_comments_and_strings(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (length, shown) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), ' '),
            '/' if rest.starts_with("/*") => (block_comment(rest), ' '),
            '"' => (string(rest), 'x'),
            'r' if !out.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                || out.ends_with('b') =>
            {
                match raw_string(rest) {
                    Some(length) => (length, 'x'),
                    None => (0, ' '),
                }
            }
            '\'' => (character(rest), 'x'),
            _ => (0, ' '),
        };
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (literal, behind) = rest.split_at(length);
            out.extend(
                literal
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { shown }),
            );
            rest = behind;
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].bytes().take_while(|&b| b == b'#').count();
    let body = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(
        body.find(&end)
            .map_or(text.len(), |at| 2 + hashes + at + end.len()),
    )
}

/// Length of a character literal, or 0 where the quote begins a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[2..]
            .char_indices()
            .skip(1)
            .find(|&(_, c)| c == '\'')
            .map_or(0, |(at, _)| at + 3),
        Some(_) => chars
            .next()
            .filter(|&(_, c)| c == '\'')
            .map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// Blanks every item behind `#[cfg(test)]`, attribute included.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        out.push_str(&rest[..at]);
        let item = &rest[at + MARK.len()..];
        let length = item_length(item);
        out.extend(item[..length].chars().filter(|&c| c == '\n'));
        rest = &item[length..];
    }
    out.push_str(rest);
    out
}

/// Up to the end of the first braced body, or the first `;` before any brace.
fn item_length(item: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_comments_and_documentation_do_not_count() {
        let source = "//! crate\n\n/* two\nlines /* nested */ */\nfn a() {} // behind code\n    /// doc\nfn b() {}\n";
        assert_eq!(count(source).lines, 2);
    }

    #[test]
    fn modules_for_tests_or_a_feature_in_files_of_their_own_are_named() {
        let source = "mod a;\n#[cfg(test)]\nmod tests;\n#[cfg(any(test, feature = \"x\"))]\npub mod host;\n#[cfg(test)]\nmod inline { }\n#[cfg(test)]\nuse x;\n";
        assert_eq!(left_out_modules(source), ["tests", "host"]);
    }

    #[test]
    fn comment_signs_in_literals_are_code() {
        let source = "const A: &str = \"// no { comment\";\nconst B: &str = r#\"/* \" \"#;\nconst C: char = '\"';\nfn d<'a>() {}\n";
        assert_eq!(
            count(source),
            Count {
                lines: 4,
                unsafe_blocks: 0
            }
        );
    }

    #[test]
    fn tests_do_not_count() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { unsafe { x() } }\n}\nfn c() {}\n#[cfg(test)]\nuse x;\n";
        assert_eq!(
            count(source),
            Count {
                lines: 2,
                unsafe_blocks: 0
            }
        );
    }

    #[test]
    fn unsafe_blocks_count_but_functions_attributes_and_words_do_not() {
        let source = "#[unsafe(no_mangle)]\nunsafe fn f() {}\nfn g() {\n    // unsafe { }\n    unsafe { f() }\n    unsafe\n    {\n        f()\n    }\n}\nfn not_unsafe () {}\n";
        assert_eq!(count(source).unsafe_blocks, 2);
    }

    #[test]
    fn unfinished_source_is_counted_without_panic() {
        for source in [
            "\"",
            "r#\"",
            "/*",
            "'",
            "'\\",
            "#[cfg(test)] mod a {",
            "/* é",
            "'é",
            "b'\\''",
        ] {
            count(source);
        }
    }
}
