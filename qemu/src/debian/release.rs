//! Which distribution the host runs.

use std::path::Path;

/// The fields of `/etc/os-release` that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// `debian`, `ubuntu`, `fedora`, …
    pub id: String,
    /// `bookworm`, `trixie`, …; empty where the distribution has none.
    pub codename: String,
    /// The name for people.
    pub pretty: String,
}

impl Release {
    /// The running host's release. Empty fields where nothing is known.
    pub fn of_host() -> Self {
        Self::parse(&std::fs::read_to_string(Path::new("/etc/os-release")).unwrap_or_default())
    }

    /// Reads the text of an `os-release` file (`man 5 os-release`).
    pub fn parse(text: &str) -> Self {
        let field = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
                .unwrap_or_default()
        };
        Self {
            id: field("ID"),
            codename: field("VERSION_CODENAME"),
            pretty: field("PRETTY_NAME"),
        }
    }

    /// True on Debian proper, whose archive layout (backports, arm64 kernels in main) the set-up relies on.
    pub fn is_debian(&self) -> bool {
        self.id == "debian" && !self.codename.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_is_recognized() {
        let release = Release::parse(
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
        );
        assert!(release.is_debian());
        assert_eq!(release.codename, "bookworm");
    }

    #[test]
    fn other_distributions_and_an_empty_file_are_not_debian() {
        assert!(!Release::parse("ID=fedora\nVERSION_ID=42\n").is_debian());
        assert!(!Release::parse("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n").is_debian());
        assert!(!Release::parse("").is_debian());
    }
}
