//! The machine's own apt sources, in both of apt's formats (`man 5 sources.list`).

use std::path::Path;

/// One archive and the suites taken from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Where the archive is.
    pub uri: String,
    /// `bookworm`, `bookworm-updates`, …
    pub suites: Vec<String>,
    /// `main`, `contrib`, …
    pub components: Vec<String>,
    /// Path of the keyring that signs it, if the entry names one.
    pub signed_by: Option<String>,
    /// The entry says `trusted=yes`: the user accepts it unsigned.
    pub trusted: bool,
}

/// Used when an entry names no keyring file.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Reads every enabled binary source of the machine: `sources.list` and `sources.list.d`.
pub fn of_host(etc_apt: &Path) -> Vec<Entry> {
    let mut entries =
        parse_list(&std::fs::read_to_string(etc_apt.join("sources.list")).unwrap_or_default());
    let mut files: Vec<_> = std::fs::read_dir(etc_apt.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|file| file.path())
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => entries.extend(parse_list(&text)),
            Some("sources") => entries.extend(parse_deb822(&text)),
            _ => {}
        }
    }
    entries
}

/// Reads one-line entries: `deb [options] uri suite component…`.
pub fn parse_list(text: &str) -> Vec<Entry> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let mut rest = line
        .strip_prefix("deb")?
        .strip_prefix([' ', '\t'])?
        .trim_start();
    let mut entry = Entry::default();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, behind) = options.split_once(']')?;
        for (key, value) in options
            .split_whitespace()
            .filter_map(|option| option.split_once('='))
        {
            match key.to_ascii_lowercase().as_str() {
                "signed-by" => entry.signed_by = keyring_path(value),
                "trusted" => entry.trusted = value == "yes",
                _ => {}
            }
        }
        rest = behind;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    entry.uri = words.next()?;
    entry.suites = vec![words.next()?];
    entry.components = words.collect();
    (!entry.components.is_empty()).then_some(entry)
}

/// Reads stanzas of `Key: value` lines separated by blank lines. A stanza with several URIs gives one entry for each.
pub fn parse_deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for stanza in stanzas(text) {
        let field = |key: &str| {
            stanza
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))
                .map(|(_, value)| value.as_str())
                .unwrap_or_default()
        };
        let words = |key: &str| {
            field(key)
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let binary = words("Types").iter().any(|kind| kind == "deb");
        if !binary || field("Enabled").trim().eq_ignore_ascii_case("no") {
            continue;
        }
        for uri in words("URIs") {
            entries.push(Entry {
                uri,
                suites: words("Suites"),
                components: words("Components"),
                signed_by: keyring_path(field("Signed-By")),
                trusted: field("Trusted").trim() == "yes",
            });
        }
    }
    entries
}

fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut stanzas = vec![Vec::<(String, String)>::new()];
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
            continue;
        }
        let Some(stanza) = stanzas.last_mut() else {
            continue;
        };
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            stanza.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    stanzas
}

/// A keyring named by its path. An embedded key or a fingerprint has no path; then Debian's own keyring is used.
fn keyring_path(value: &str) -> Option<String> {
    let path = value.split([',', ' ']).next().unwrap_or_default();
    path.starts_with('/').then(|| path.to_owned())
}

/// The private `sources.list`: the machine's own entries for the release (itself, updates, security), and its backports from the
/// same mirror. With `architecture`, the indices of that one are read. `None` when no entry has the release.
pub fn private_list(
    entries: &[Entry],
    codename: &str,
    architecture: Option<&str>,
) -> Option<String> {
    let main = entries.iter().find(|entry| {
        entry.suites.iter().any(|suite| suite == codename)
            && entry.components.iter().any(|c| c == "main")
    })?;
    let mut lines: Vec<String> = Vec::new();
    let mut add = |entry: &Entry, suite: &str| {
        let mut options = Vec::new();
        options.extend(architecture.map(|architecture| format!("arch={architecture}")));
        options.push(format!(
            "signed-by={}",
            entry.signed_by.as_deref().unwrap_or(KEYRING)
        ));
        options.extend(entry.trusted.then(|| "trusted=yes".to_owned()));
        let line = format!("deb [{}] {} {suite} main", options.join(" "), entry.uri);
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for entry in entries
        .iter()
        .filter(|entry| entry.components.iter().any(|c| c == "main"))
    {
        for suite in &entry.suites {
            let (release, part) = suite.split_once(['-', '/']).unwrap_or((suite, ""));
            if release == codename && matches!(part, "" | "updates" | "security") {
                add(entry, suite);
            }
        }
    }
    add(main, &backports(codename));
    Some(lines.join("\n") + "\n")
}

/// Name of a release's backports suite.
pub fn backports(codename: &str) -> String {
    format!("{codename}-backports")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "# as installed\n\
        Types: deb deb-src\n\
        URIs: http://mirror.example/debian\n\
        Suites: bookworm bookworm-updates\n\
        Components: main contrib\n\
        Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\
        \n\
        Types: deb\n\
        URIs: http://mirror.example/debian-security\n\
        Suites: bookworm-security\n\
        Components: main\n\
        \n\
        Types: deb\n\
        URIs: http://other.example/x\n\
        Suites: bookworm\n\
        Components: main\n\
        Enabled: no\n";

    #[test]
    fn deb822_stanzas_are_read_and_disabled_ones_skipped() {
        let entries = parse_deb822(DEB822);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(entries[0].signed_by.as_deref(), Some(KEYRING));
        assert_eq!(entries[1].uri, "http://mirror.example/debian-security");
    }

    #[test]
    fn one_line_entries_are_read_with_options_and_comments() {
        let entries = parse_list(
            "# deb http://off.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/k.gpg trusted=yes] http://m.example/debian bookworm main non-free # mine\n\
             deb-src http://m.example/debian bookworm main\n\
             deb\thttp://m.example/debian\tbookworm-updates\tmain\n\
             deb http://flat.example ./\n",
        );
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].signed_by.as_deref(), Some("/k.gpg"));
        assert!(entries[0].trusted);
        assert_eq!(entries[0].components, ["main", "non-free"]);
        assert_eq!(entries[1].suites, ["bookworm-updates"]);
    }

    #[test]
    fn embedded_key_falls_back_to_the_archive_keyring() {
        let text = "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n abc\n";
        let entries = parse_deb822(text);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].signed_by, None);
        let list = private_list(&entries, "bookworm", None).expect("entry of the release");
        assert!(
            list.starts_with(&format!(
                "deb [signed-by={KEYRING}] http://m.example/debian bookworm main\n"
            )),
            "{list}"
        );
    }

    #[test]
    fn private_list_has_the_release_its_updates_security_and_backports() {
        let list = private_list(&parse_deb822(DEB822), "bookworm", Some("arm64"))
            .expect("entry of the release");
        let suites: Vec<&str> = list
            .lines()
            .filter_map(|line| line.split_whitespace().rev().nth(1))
            .collect();
        assert_eq!(
            suites,
            [
                "bookworm",
                "bookworm-updates",
                "bookworm-security",
                "bookworm-backports"
            ]
        );
        assert!(
            list.lines()
                .all(|line| line.contains("[arch=arm64 signed-by=")),
            "{list}"
        );
        assert!(
            list.contains("http://mirror.example/debian bookworm-backports main"),
            "{list}"
        );
    }

    #[test]
    fn foreign_archives_are_left_out_and_backports_not_doubled() {
        let mut entries = parse_list(
            "deb http://m.example/debian bookworm main\n\
             deb http://m.example/debian bookworm-backports main\n\
             deb http://vendor.example/apt stable main\n",
        );
        entries[1].signed_by = None;
        let list = private_list(&entries, "bookworm", None).expect("entry of the release");
        assert_eq!(list.lines().count(), 2, "{list}");
    }

    #[test]
    fn machine_without_the_release_has_no_private_list() {
        assert_eq!(
            private_list(
                &parse_list("deb http://m.example/debian sid main\n"),
                "bookworm",
                None
            ),
            None
        );
        assert_eq!(private_list(&[], "bookworm", None), None);
    }
}
