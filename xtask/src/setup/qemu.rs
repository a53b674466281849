//! QEMU for the host.

use anyhow::{Context, bail};
use qemu::machine::Architecture;
use qemu::version::{OLDEST, Version};

use super::install;
use crate::steps::Steps;

/// Packages of the emulator.
struct Packages {
    debian: &'static str,
    elsewhere: &'static str,
}

const fn packages(architecture: Architecture) -> Packages {
    match architecture {
        Architecture::Arm => Packages {
            debian: "qemu-system-arm",
            elsewhere: "`qemu-system-aarch64` (Fedora, Arch)",
        },
        Architecture::Pc => Packages {
            debian: "qemu-system-x86",
            elsewhere: "`qemu-system-x86` (Fedora, Arch)",
        },
    }
}

pub fn ensure(steps: Steps, architecture: Architecture, offline: bool) -> anyhow::Result<()> {
    let program = architecture.program();
    let Packages { debian, elsewhere } = packages(architecture);
    let found = Version::installed_for(architecture);
    if let Some(version) = found.filter(|version| version.suffices()) {
        steps.present(&format!("{program} {version}"));
        return Ok(());
    }
    let why = match found {
        Some(version) => format!("{program} {version} is older than {OLDEST}"),
        None => format!("there is no {program}"),
    };
    steps
        .doing(&format!("{why}: installing {debian} from Debian's archive (with backports)"), || {
            install::packages(&[debian], offline)
        })
        .with_context(|| format!("{why}. Systems run in QEMU {OLDEST} or newer: install `{debian}` (Debian, Ubuntu), {elsewhere} or `qemu` (Homebrew)"))?;
    match Version::installed_for(architecture) {
        Some(version) if version.suffices() => Ok(()),
        _ => bail!("{debian} was installed but no {program} of at least {OLDEST} is on the PATH"),
    }
}
