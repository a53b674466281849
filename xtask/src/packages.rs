//! What is linked into an image and comes from crates.io: names, versions, licences, as cargo knows them.

use std::process::Command;

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::build::{BINARY_FEATURE, Builder, PACKAGE};
use crate::command;
use crate::toolchain::{self, HYPERVISOR_TARGET};

/// A package that is not ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// An SPDX expression, as its author wrote it.
    pub licence: String,
}

/// The packages of an image with these features, sorted by name. Macros and build scripts are not in the image, and not in the list.
///
/// # Errors
/// `cargo tree` fails, or a package has no licence.
pub fn linked(builder: &Builder, features: &[&str]) -> anyhow::Result<Vec<Package>> {
    let mut tree = Command::new(toolchain::cargo());
    tree.args(["tree", "--quiet", "--package", PACKAGE])
        .args([
            "--target",
            HYPERVISOR_TARGET,
            "--edges",
            "normal,no-proc-macro",
        ])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"])
        .args(["--no-default-features", "--features"])
        .arg([&[BINARY_FEATURE], features].concat().join(","))
        .current_dir(builder.workspace().root());
    if builder.offline() {
        tree.arg("--offline");
    }
    parse(&command::output(&mut tree)?)
}

/// Lines `NAME vVERSION|LICENCE`; our own have a path behind the version.
fn parse(tree: &str) -> anyhow::Result<Vec<Package>> {
    let mut packages = Vec::new();
    for line in tree.lines().filter(|line| !line.trim().is_empty()) {
        let (package, licence) = line
            .split_once('|')
            .with_context(|| format!("`cargo tree` says {line:?}"))?;
        let mut words = package.split(' ');
        let (Some(name), Some(version), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        ensure!(!licence.trim().is_empty(), "{name} has no licence");
        packages.push(Package {
            name: name.to_owned(),
            version: version.trim_start_matches('v').to_owned(),
            licence: licence.trim().to_owned(),
        });
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_others_are_listed_once_and_ours_are_not() {
        let tree = "platforms v0.1.0 (/some/where)|MIT\nheapless v0.9.3|MIT OR Apache-2.0\nfdt v0.1.5|MPL-2.0\nheapless v0.9.3|MIT OR Apache-2.0\n";
        let names: Vec<String> = parse(tree)
            .expect("packages")
            .into_iter()
            .map(|one| one.name + " " + &one.version)
            .collect();
        assert_eq!(names, ["fdt 0.1.5", "heapless 0.9.3"]);
    }

    #[test]
    fn package_without_a_licence_is_an_error() {
        let error = parse("nobody v1.0.0|\n")
            .expect_err("no licence")
            .to_string();
        assert!(error.contains("nobody"), "{error}");
    }
}
