//! Reads what cargo says that a program was built from: the dep-info file beside it, in the syntax of makefiles.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The files that the program depends on.
///
/// # Errors
/// The file cannot be read or is no dep-info.
pub fn read(file: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text).with_context(|| format!("{} is no dep-info of cargo", file.display()))
}

/// `TARGET: FILE FILE …` in one line; a blank inside a name has a backslash before it.
fn parse(text: &str) -> Option<Vec<PathBuf>> {
    let (_, files) = text.lines().next()?.split_once(": ")?;
    let mut names = vec![String::new()];
    for word in files.split(' ') {
        let name = names.last_mut()?;
        match word.strip_suffix('\\') {
            Some(start) => {
                name.push_str(start);
                name.push(' ');
            }
            None => {
                name.push_str(word);
                names.push(String::new());
            }
        }
    }
    let named = names.into_iter().filter(|name| !name.is_empty());
    Some(named.map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_in_their_order_with_blanks_in_their_names() {
        let files = parse("/t/bulkhead: /s/a.rs /my\\ s/b\\ c.rs\n").expect("dep-info");
        assert_eq!(files, ["/s/a.rs", "/my s/b c.rs"].map(PathBuf::from));
    }

    #[test]
    fn text_without_a_target_is_refused() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("/s/a.rs /s/b.rs"), None);
    }
}
