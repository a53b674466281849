//! Rust for the boards.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use qemu::debian::release::Release;

use super::install;
use crate::command;
use crate::steps::Steps;
use crate::toolchain::{Choice, LINUX_TARGET, TARGETS, Toolchain, give_up, has_prebuilt};

/// rustup retries for minutes where its server cannot be reached.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

pub fn ensure(steps: Steps, offline: bool) -> anyhow::Result<Toolchain> {
    let choice = Choice::from_environment()?;
    if let Some(toolchain) = choice.ready() {
        steps.present(&format!("Rust for the boards: {}", toolchain.describe()));
        return Ok(toolchain);
    }
    if choice.allows(Toolchain::Prebuilt) && !offline {
        let what = format!("adding the Rust targets {} by rustup", TARGETS.join(", "));
        let added = steps.doing(&what, || {
            command::run_limited(
                Command::new("rustup").args(["target", "add"]).args(TARGETS),
                RUSTUP_LIMIT,
            )
        });
        match added {
            Ok(()) if Toolchain::Prebuilt.is_ready() => return Ok(Toolchain::Prebuilt),
            Ok(()) => {
                steps.note("rustup added the targets to another toolchain than the one in use")
            }
            Err(error) => steps.note(&format!("rustup cannot: {}", first_line(&error))),
        }
    }
    if choice.allows(Toolchain::Debian) && Release::of_host().is_debian() {
        let packages = debian_packages(&Release::of_host().codename);
        let what = format!(
            "installing Debian's Rust ({}), which builds `core` itself",
            packages.join(", ")
        );
        steps
            .doing(&what, || install::packages(packages, offline))
            .context("no Rust for the boards")?;
        if Toolchain::Debian.is_ready() {
            return Ok(Toolchain::Debian);
        }
    }
    give_up(choice)
}

/// Makes sure that programs for Linux partitions can be built.
pub fn ensure_linux(steps: Steps, offline: bool) -> anyhow::Result<()> {
    if has_prebuilt(LINUX_TARGET) {
        steps.present(&format!("Rust for Linux partitions ({LINUX_TARGET})"));
        return Ok(());
    }
    let by_hand =
        || format!("no Rust for Linux partitions: run `rustup target add {LINUX_TARGET}`");
    ensure!(!offline, "{}, which --offline forbids", by_hand());
    steps
        .doing(
            &format!("adding the Rust target {LINUX_TARGET} by rustup"),
            || {
                let mut add = Command::new("rustup");
                command::run_limited(add.args(["target", "add", LINUX_TARGET]), RUSTUP_LIMIT)
            },
        )
        .with_context(by_hand)?;
    ensure!(
        has_prebuilt(LINUX_TARGET),
        "{}: it went to another toolchain than the one in use",
        by_hand()
    );
    Ok(())
}

/// Debian 12 carries a newer Rust beside its own, for browsers; later releases have one in backports.
fn debian_packages(codename: &str) -> &'static [&'static str] {
    match codename {
        "bookworm" => &[
            "rustc-web",
            "cargo-web",
            "rust-web-src",
            "rust-web-clippy",
            "lld",
        ],
        _ => &["rustc", "cargo", "rust-src", "rust-clippy", "lld"],
    }
}

fn first_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    match lines.find(|line| line.starts_with("error")) {
        Some(reason) => format!("{first} {reason}"),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_uses_the_newer_rust_beside_its_own() {
        assert!(debian_packages("bookworm").contains(&"rustc-web"));
        assert!(debian_packages("trixie").contains(&"rust-src"));
    }
}
