//! Counts what of a Rust source file is compiled into an image: lines that are neither blank, comment nor left out, and `unsafe` blocks.

mod conditions;
pub mod features;
#[cfg(test)]
mod neutral;

/// The count of one or more files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Lines with code.
    pub lines: usize,
    /// `unsafe { … }` blocks.
    pub unsafe_blocks: usize,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.unsafe_blocks += other.unsafe_blocks;
    }
}

/// Counts one file of an image that is built with these cargo features.
pub fn count(source: &str, features: &[&str]) -> Count {
    let code = conditions::compiled(source, &blank_comments_and_strings(source), features);
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
            // As many bytes as there were: what is found in one text is at the same place in the other.
            // Literals of several lines are assembly, whose comments are comments, too.
            for line in literal.split_inclusive('\n') {
                let comment = line.trim_start().starts_with("//");
                let shown = if comment { ' ' } else { shown };
                out.extend(line.bytes().map(|byte| match byte {
                    b'\n' => '\n',
                    _ => shown,
                }));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_blanked_source_are_those_in_the_source() {
        let source = "// é ü\nconst A: &str = \"ß\";\n";
        let blanked = blank_comments_and_strings(source);
        assert_eq!(blanked.find("const"), source.find("const"));
        assert_eq!(blanked.len(), source.len());
    }

    #[test]
    fn blank_lines_comments_and_documentation_do_not_count() {
        let source = "//! crate\n\n/* two\nlines /* nested */ */\nfn a() {} // behind code\n    /// doc\nfn b() {}\n";
        assert_eq!(count(source, &[]).lines, 2);
    }

    #[test]
    fn comment_signs_in_literals_are_code() {
        let source = "const A: &str = \"// no { comment\";\nconst B: &str = r#\"/* \" \"#;\nconst C: char = '\"';\nfn d<'a>() {}\n";
        assert_eq!(
            count(source, &[]),
            Count {
                lines: 4,
                unsafe_blocks: 0
            }
        );
    }

    #[test]
    fn comments_of_assembly_do_not_count() {
        let source = "global_asm!(\n    r#\"\n    // why\n    eret\n\n    nop // how\n\"#\n);\n";
        assert_eq!(count(source, &[]).lines, 6);
    }

    #[test]
    fn tests_do_not_count() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { unsafe { x() } }\n}\nfn c() {}\n#[cfg(test)]\nuse x;\n";
        assert_eq!(
            count(source, &[]),
            Count {
                lines: 2,
                unsafe_blocks: 0
            }
        );
    }

    #[test]
    fn unsafe_blocks_count_but_functions_attributes_and_words_do_not() {
        let source = "#[unsafe(no_mangle)]\nunsafe fn f() {}\nfn g() {\n    // unsafe { }\n    unsafe { f() }\n    unsafe\n    {\n        f()\n    }\n}\nfn not_unsafe () {}\n";
        assert_eq!(count(source, &[]).unsafe_blocks, 2);
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
            count(source, &[]);
        }
    }
}
