//! Which QEMU is installed, and whether it is new enough.

use std::fmt;
use std::process::Command;

use crate::machine::Architecture;

/// The emulator that every Arm system runs in.
pub const PROGRAM: &str = Architecture::Arm.program();

/// The oldest QEMU whose machines carry what the tests need (SMMUv3 with stage 2, PL011 and GIC fixes, NVMe with `dbcs`).
pub const OLDEST: Version = Version {
    major: 10,
    minor: 0,
    patch: 0,
};

/// A QEMU release number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Version {
    /// Reads the first line of `qemu-system-… --version`, for example `QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text
            .lines()
            .next()?
            .split_once(" version ")?
            .1
            .split_whitespace()
            .next()?;
        let mut parts = number.split('.').map(|part| {
            let digits = part
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len());
            part.get(..digits)?.parse::<u32>().ok()
        });
        Some(Self {
            major: parts.next()??,
            minor: parts.next()??,
            patch: parts.next().flatten().unwrap_or(0),
        })
    }

    /// The version of the QEMU for Arm on the `PATH`, or `None` when there is none that runs.
    pub fn installed() -> Option<Self> {
        Self::installed_for(Architecture::Arm)
    }

    /// The same for any architecture.
    pub fn installed_for(architecture: Architecture) -> Option<Self> {
        let mut program = Command::new(architecture.program());
        let output = program.arg("--version").output().ok()?;
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// True when this QEMU can run Bulkhead's systems.
    pub fn suffices(self) -> bool {
        self >= OLDEST
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_version_line_is_read() {
        let version = Version::parse(
            "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright …",
        );
        assert_eq!(
            version,
            Some(Version {
                major: 10,
                minor: 0,
                patch: 2
            })
        );
    }

    #[test]
    fn release_candidate_counts_by_its_numbers() {
        let version = Version::parse("QEMU emulator version 9.2.0-rc1");
        assert_eq!(
            version,
            Some(Version {
                major: 9,
                minor: 2,
                patch: 0
            })
        );
    }

    #[test]
    fn missing_patch_number_is_zero() {
        assert_eq!(
            Version::parse("QEMU emulator version 9.2"),
            Some(Version {
                major: 9,
                minor: 2,
                patch: 0
            })
        );
    }

    #[test]
    fn other_text_is_no_version() {
        assert_eq!(Version::parse(""), None);
        assert_eq!(Version::parse("bash: command not found"), None);
        assert_eq!(Version::parse("QEMU emulator version x.y"), None);
    }

    #[test]
    fn debian_12_own_qemu_is_too_old_and_10_0_suffices() {
        assert!(
            !Version {
                major: 7,
                minor: 2,
                patch: 17
            }
            .suffices()
        );
        assert!(
            !Version {
                major: 9,
                minor: 2,
                patch: 4
            }
            .suffices()
        );
        assert!(OLDEST.suffices());
        assert!(
            Version {
                major: 10,
                minor: 0,
                patch: 2
            }
            .suffices()
        );
    }
}
