//! QEMU for the host.

use anyhow::{Context, bail};
use qemu::version::{OLDEST, PROGRAM, Version};

use super::install;
use crate::steps::Steps;

/// Debian's package of the emulator.
const PACKAGE: &str = "qemu-system-arm";

pub fn ensure(steps: Steps, offline: bool) -> anyhow::Result<()> {
    let found = Version::installed();
    if let Some(version) = found.filter(|version| version.suffices()) {
        steps.present(&format!("{PROGRAM} {version}"));
        return Ok(());
    }
    let why = match found {
        Some(version) => format!("{PROGRAM} {version} is older than {OLDEST}"),
        None => format!("there is no {PROGRAM}"),
    };
    steps
        .doing(&format!("{why}: installing {PACKAGE} from Debian's archive (with backports)"), || {
            install::packages(&[PACKAGE], offline)
        })
        .with_context(|| format!("{why}. Systems run in QEMU {OLDEST} or newer: install `{PACKAGE}` (Debian, Ubuntu), `qemu-system-aarch64` (Fedora, Arch) or `qemu` (Homebrew)"))?;
    match Version::installed() {
        Some(version) if version.suffices() => Ok(()),
        _ => bail!("{PACKAGE} was installed but no {PROGRAM} of at least {OLDEST} is on the PATH"),
    }
}
