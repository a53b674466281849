//! Debian packages by name, downloaded through a private apt.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::apt::Apt;

/// Debian's name of the architecture of a package's guests: PCs where the name says so, as `linux-image-cloud-amd64` and
/// `busybox-static:amd64` do, else Arm.
pub fn architecture(package: &str) -> &'static str {
    if package.ends_with("amd64") {
        "amd64"
    } else {
        "arm64"
    }
}

/// A package that was downloaded.
pub(super) struct Fetched {
    /// Its name, with the version that a meta package leaves out.
    pub name: String,
    /// The `.deb` file.
    pub archive: PathBuf,
}

/// A package name becomes a folder and an argument: only what Debian Policy 5.6.1 allows.
pub(super) fn check_name(package: &str) -> anyhow::Result<()> {
    // apt's own way to name one of another architecture than the host's.
    let bare = package.strip_suffix(":amd64").unwrap_or(package);
    let valid = bare.len() >= 2
        && bare.starts_with(|c: char| c.is_ascii_alphanumeric())
        && bare
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
    if valid {
        Ok(())
    } else {
        bail!("{package:?} is no name of a Debian package")
    }
}

/// Downloads a package, or the one that it stands for, into a folder. apt checks its signature.
pub(super) fn download(apt: &Apt, package: &str, into: &Path) -> anyhow::Result<Fetched> {
    let shown = show(apt, &argument(apt, package)?)?;
    let name = newest(&shown).unwrap_or_else(|| package.to_owned());
    let argument = argument(apt, &name)?;
    apt.run_in(into, "apt-get", &["-q", "download", &argument])?;
    let archive = std::fs::read_dir(into)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get download left no package of {name}"))?;
    Ok(Fetched { name, archive })
}

/// How apt names the package: a package for all architectures is known by its bare name only.
fn argument(apt: &Apt, package: &str) -> anyhow::Result<String> {
    let bare = package.strip_suffix(":amd64").unwrap_or(package);
    let foreign = format!("{bare}:{}", architecture(package));
    // Of a name that it has never heard, apt says nothing or fails; what is wrong with apt itself shows with the bare name.
    let is_foreign = show(apt, &foreign).is_ok_and(|shown| !shown.is_empty());
    Ok(if is_foreign {
        foreign
    } else {
        package.to_owned()
    })
}

/// What is known of a package; empty when it does not exist.
fn show(apt: &Apt, package: &str) -> anyhow::Result<String> {
    apt.run("apt-cache", &["show", "--no-all-versions", package])
}

/// The package that really holds the files: `linux-image-cloud-arm64` only depends on the newest
/// `linux-image-<version>-cloud-arm64`, and `linux-source` on `linux-source-<version>`. Headers that depend on a kernel hold files of their own.
fn newest(shown: &str) -> Option<String> {
    let field = |name| shown.lines().find_map(|line| line.strip_prefix(name));
    let package = field("Package:")?.trim();
    let depends = field("Depends:")?;
    depends
        .split(',')
        .filter_map(|dependency| dependency.split_whitespace().next())
        .map(|name| name.split(':').next().unwrap_or(name))
        .find(|name| {
            ["linux-image", "linux-source"]
                .iter()
                .filter(|kind| package.starts_with(**kind))
                .filter_map(|kind| name.strip_prefix(kind)?.strip_prefix('-'))
                .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependency_on_the_versioned_package_is_followed() {
        let kernel = "Package: linux-image-cloud-arm64\nDepends: linux-image-6.12.57+deb12-cloud-arm64 (= 6.12.57-1~bpo12+1), kmod\n";
        assert_eq!(
            newest(kernel).as_deref(),
            Some("linux-image-6.12.57+deb12-cloud-arm64")
        );
        let source = "Package: linux-source\nArchitecture: all\nDepends: linux-source-6.12 (= 6.12.57-1~bpo12+1)\n";
        assert_eq!(newest(source).as_deref(), Some("linux-source-6.12"));
    }

    #[test]
    fn versioned_package_is_taken_itself() {
        assert_eq!(
            newest("Package: linux-image-6.12.57-arm64\nDepends: kmod, linux-base (>= 4.3~)\n"),
            None
        );
        assert_eq!(
            newest("Package: linux-headers-6.12.57-arm64\nDepends: linux-image-6.12.57-arm64\n"),
            None
        );
        assert_eq!(newest("Package: busybox-static\n"), None);
        assert_eq!(
            newest("Package: linux-source-6.12\nDepends: binutils, xz-utils\n"),
            None
        );
    }

    #[test]
    fn architecture_is_in_the_name_or_is_that_of_most_guests() {
        for package in [
            "linux-image-6.12.95+deb12-cloud-amd64",
            "busybox-static:amd64",
        ] {
            assert!(check_name(package).is_ok(), "{package}");
            assert_eq!(architecture(package), "amd64", "{package}");
        }
        assert_eq!(architecture("busybox-static"), "arm64");
    }

    #[test]
    fn names_that_are_paths_or_options_are_refused() {
        for name in ["../x", "-o", "a b", "", "Linux", "a/b", "a:arm64", ":amd64"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("linux-image-6.12.57+deb12-cloud-arm64").is_ok());
    }
}
