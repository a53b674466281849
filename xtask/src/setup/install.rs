//! Installs Debian packages into the host, through a private apt state.

use std::process::Command;

use anyhow::{Context, bail};
use nix::unistd::Uid;
use qemu::debian::apt::Apt;
use qemu::debian::cache::Cache;

use crate::command;

/// Installs `packages` from the host's own mirror, backports included.
///
/// # Errors
/// The host is not Debian, the user may not install, or apt fails. The message has the commands to run by hand.
pub fn packages(packages: &[&str], offline: bool) -> anyhow::Result<()> {
    if offline {
        bail!("--offline forbids to install {}", packages.join(" "));
    }
    let apt = Apt::new(&Cache::default_folder()?.join("apt-host"), None)?;
    apt.update()?;
    let mut install = if Uid::effective().is_root() {
        Command::new("apt-get")
    } else if command::output(Command::new("sudo").args(["-n", "true"])).is_ok() {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "apt-get"]);
        sudo
    } else {
        bail!("installing needs root. Run:\n  {}", by_hand(&apt, packages));
    };
    install
        .args(apt.options())
        .args(Apt::install_arguments(packages))
        .env("DEBIAN_FRONTEND", "noninteractive");
    command::run(&mut install)
        .with_context(|| format!("{} cannot be installed", packages.join(" ")))
}

/// The command to run by hand.
fn by_hand(apt: &Apt, packages: &[&str]) -> String {
    let mut words = vec!["sudo".to_owned(), "apt-get".to_owned()];
    words.extend(
        apt.options()
            .iter()
            .map(|option| option.to_string_lossy().into_owned()),
    );
    words.extend(Apt::install_arguments(packages));
    words.join(" ")
}
