//! Where boards and guest images come from. The compiler asks; the command line (or a test's fake) answers.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

/// Answers the compiler's questions about the world outside the system file.
pub trait Resources {
    /// The files of a board.
    ///
    /// # Errors
    /// [`ResourceError::NotFound`] when there is no such board; [`ResourceError::Unavailable`] when its device tree cannot be had.
    fn board(&self, name: &str) -> Result<BoardFiles, ResourceError>;

    /// Names of all boards, for "did you mean …?".
    fn boards(&self) -> Vec<String>;

    /// A file with the image that `source` names. `system_dir` is the folder of the system file: relative paths start there.
    ///
    /// # Errors
    /// [`ResourceError::NotFound`] when there is no such file, package or guest; [`ResourceError::Unavailable`] when it cannot be fetched or built.
    fn image(&self, source: &Source, system_dir: &Path) -> Result<PathBuf, ResourceError>;

    /// The bytes of a device-tree overlay that a system file names, in the flattened format: what ends in `.dtso` or `.dts` is compiled
    /// first. A relative path starts at `system_dir`.
    ///
    /// # Errors
    /// [`ResourceError::NotFound`] when there is no such file; [`ResourceError::Unavailable`] when it cannot be read or compiled.
    fn overlay(&self, path: &Path, system_dir: &Path) -> Result<Vec<u8>, ResourceError>;
}

/// What is known about a board.
#[derive(Clone, Debug)]
pub struct BoardFiles {
    /// Text of its `board.toml`.
    pub board_toml: String,
    /// Path of that file, for findings.
    pub path: PathBuf,
    /// Its device tree in the flattened format. A PC has none.
    pub tree: Vec<u8>,
    /// The dump of its ACPI tables that a PC's `board.toml` names ([`pc_tables`](crate::pc_tables)), or nothing.
    pub tables: Vec<u8>,
}

/// Where a guest image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A file; a relative path starts at the system file's folder.
    File(PathBuf),
    /// The kernel of a Debian package.
    Debian(String),
    /// A generated initramfs with Debian's static BusyBox for Arm.
    Busybox,
    /// The same for a PC. A system file calls it `busybox`, too.
    PcBusybox,
    /// The same with the network modules of a Debian kernel package, loaded before the shell starts.
    BusyboxFor(String),
    /// The same with the generic UIO driver of a Debian kernel package, bound to channels, and Bulkhead's programs for Linux.
    BusyboxUio(String),
    /// A Rust guest of `tests/guests`, built to an ELF file.
    Guest(String),
}

impl Source {
    /// Reads the text form: `debian:<package>`, `guest:<name>`, `busybox`, `busybox:<package>`, `busybox-uio:<package>`, or a path.
    pub fn parse(text: &str) -> Self {
        if let Some(package) = text.strip_prefix("debian:") {
            Self::Debian(package.to_owned())
        } else if let Some(guest) = text.strip_prefix("guest:") {
            Self::Guest(guest.to_owned())
        } else if let Some(package) = text.strip_prefix("busybox:") {
            Self::BusyboxFor(package.to_owned())
        } else if let Some(package) = text.strip_prefix("busybox-uio:") {
            Self::BusyboxUio(package.to_owned())
        } else if text == "busybox" {
            Self::Busybox
        } else {
            Self::File(PathBuf::from(text))
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Debian(package) => write!(f, "debian:{package}"),
            Self::Busybox | Self::PcBusybox => f.write_str("busybox"),
            Self::BusyboxFor(package) => write!(f, "busybox:{package}"),
            Self::BusyboxUio(package) => write!(f, "busybox-uio:{package}"),
            Self::Guest(name) => write!(f, "guest:{name}"),
        }
    }
}

/// Why something could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// There is no such thing.
    #[error("not found: {looked_for}")]
    NotFound {
        /// The full path or name that was tried.
        looked_for: String,
    },
    /// It exists but cannot be had now.
    #[error("{reason}")]
    Unavailable {
        /// Why, in one line.
        reason: String,
        /// What the user can do, if anything is known.
        help: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_text_comes_back_as_it_was_written() {
        for text in [
            "debian:linux-image-rt-arm64",
            "guest:rt",
            "busybox",
            "busybox:linux-image-cloud-arm64",
            "busybox-uio:linux-image-cloud-arm64",
            "../kernel/Image",
        ] {
            assert_eq!(Source::parse(text).to_string(), text);
        }
    }
}
