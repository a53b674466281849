//! `cargo xtask setup`: everything that the other verbs need. Every step looks first and does nothing when nothing is missing.

mod install;
mod qemu;
mod rust;

use ::qemu::debian::package::Cache;

use crate::steps::Steps;
use crate::toolchain::Toolchain;

/// The kernels that the system tests boot.
pub const TEST_KERNELS: [&str; 2] = ["linux-image-cloud-arm64", "linux-image-rt-arm64"];

/// Makes sure that images can be built.
///
/// # Errors
/// No Rust for the boards can be had; the message says what to do by hand.
pub fn rust(steps: Steps, offline: bool) -> anyhow::Result<Toolchain> {
    rust::ensure(steps, offline)
}

/// Makes sure that a QEMU which can run the systems is there.
///
/// # Errors
/// It cannot be installed; the message says what to do by hand.
pub fn qemu(steps: Steps, offline: bool) -> anyhow::Result<()> {
    qemu::ensure(steps, offline)
}

/// Makes sure that these kernels and BusyBox are in the cache.
///
/// # Errors
/// One cannot be fetched.
pub fn guests(steps: Steps, cache: &Cache, kernels: &[&str]) -> anyhow::Result<()> {
    for &kernel in kernels {
        if cache.has_kernel(kernel) {
            steps.present(&format!("guest kernel {kernel} (cached)"));
        } else {
            steps.doing(
                &format!(
                    "fetching guest kernel {kernel} from Debian's archive into {}",
                    cache.folder().display()
                ),
                || cache.kernel(kernel),
            )?;
        }
    }
    if cache.has_busybox() {
        steps.present("BusyBox for the guests' root file system (cached)");
    } else {
        steps.doing("fetching BusyBox for the guests' root file system", || {
            cache.busybox()
        })?;
    }
    Ok(())
}

/// The verb: all of it.
///
/// # Errors
/// Those of the steps. Each step is tried, and every error is told, so that one look shows all that is left to do by hand.
pub fn run(steps: Steps, offline: bool) -> anyhow::Result<()> {
    let cache = Cache::new(&Cache::default_folder()?, offline);
    all([
        rust(steps, offline).map(drop),
        qemu(steps, offline),
        guests(steps, &cache, &TEST_KERNELS),
    ])
}

/// Succeeds when every step has; otherwise one error with the messages of all that failed.
fn all<const N: usize>(results: [anyhow::Result<()>; N]) -> anyhow::Result<()> {
    let failed: Vec<String> = results
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\nerror: "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failed_step_is_told() {
        let error = all([
            Err(anyhow::anyhow!("reason").context("no Rust")),
            Ok(()),
            Err(anyhow::anyhow!("no QEMU")),
        ])
        .expect_err("two steps failed");
        assert_eq!(error.to_string(), "no Rust: reason\nerror: no QEMU");
    }

    #[test]
    fn steps_without_errors_succeed() {
        assert!(all([Ok(()), Ok(())]).is_ok());
    }
}
