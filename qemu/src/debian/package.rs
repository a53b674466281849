//! Files out of Debian packages, fetched once and cached outside the source tree.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};

use super::apt::Apt;

/// The architecture of every guest.
const ARCHITECTURE: &str = "arm64";

/// The package with the static BusyBox.
pub const BUSYBOX: &str = "busybox-static";

/// The cache of guests. Nothing in it is ever changed, only added, so it serves several checkouts.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    offline: bool,
}

/// A file wanted from a package.
struct Wanted {
    package: String,
    /// What it is called in the cache.
    name: &'static str,
    /// Start of its path in the package.
    path: &'static str,
}

impl Cache {
    /// The cache in `folder`. When `offline`, only what is there already can be had.
    pub fn new(folder: &Path, offline: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            offline,
        }
    }

    /// The user's cache folder: `BULKHEAD_CACHE`, else `bulkhead` in `XDG_CACHE_HOME` or `~/.cache`.
    ///
    /// # Errors
    /// None of the variables, nor `HOME`, is set.
    pub fn default_folder() -> anyhow::Result<PathBuf> {
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        if let Some(folder) = variable("BULKHEAD_CACHE") {
            return std::path::absolute(folder).context("BULKHEAD_CACHE is no path");
        }
        let base =
            variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
        Ok(base.context("neither BULKHEAD_CACHE, XDG_CACHE_HOME nor HOME is set; one must say where downloads are cached")?.join("bulkhead"))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The Image of a kernel package, for example `linux-image-cloud-arm64`. A package that only depends on the newest kernel is
    /// followed. Fetched unless cached.
    ///
    /// # Errors
    /// The package does not exist, cannot be fetched, or holds no kernel.
    pub fn kernel(&self, package: &str) -> anyhow::Result<PathBuf> {
        self.file(&Wanted {
            package: package.to_owned(),
            name: "Image",
            path: "boot/vmlinuz-",
        })
    }

    /// The static BusyBox.
    ///
    /// # Errors
    /// See [`kernel`](Self::kernel).
    pub fn busybox(&self) -> anyhow::Result<PathBuf> {
        self.file(&Wanted {
            package: BUSYBOX.to_owned(),
            name: "busybox",
            path: "bin/busybox",
        })
    }

    /// True when the kernel of this package needs no download.
    pub fn has_kernel(&self, package: &str) -> bool {
        self.path(package, "Image").is_file()
    }

    /// True when BusyBox needs no download.
    pub fn has_busybox(&self) -> bool {
        self.path(BUSYBOX, "busybox").is_file()
    }

    fn path(&self, package: &str, name: &str) -> PathBuf {
        self.folder.join("debian").join(package).join(name)
    }

    fn file(&self, wanted: &Wanted) -> anyhow::Result<PathBuf> {
        check_name(&wanted.package)?;
        let path = self.path(&wanted.package, wanted.name);
        if path.is_file() {
            return Ok(path);
        }
        if self.offline {
            bail!(
                "{} is not in the cache {} and --offline forbids to fetch it",
                wanted.package,
                self.folder.display()
            );
        }
        let _lock = self.lock()?;
        // Another process may have fetched it while this one waited.
        if path.is_file() {
            return Ok(path);
        }
        self.fetch(wanted, &path).with_context(|| {
            format!(
                "the Debian package {}:{ARCHITECTURE} cannot be had. By hand: unpack it and copy its {}… to {}",
                wanted.package,
                wanted.path,
                path.display()
            )
        })?;
        Ok(path)
    }

    fn fetch(&self, wanted: &Wanted, to: &Path) -> anyhow::Result<()> {
        let apt = Apt::new(&self.folder.join("apt"), Some(ARCHITECTURE))?;
        apt.update()?;
        let package = follow(&apt, &wanted.package)?;
        let folder = to.parent().context("a cached file has a folder")?;
        let work = folder.join(format!("unpacking-{}", std::process::id()));
        std::fs::create_dir_all(&work)
            .with_context(|| format!("cannot create {}", work.display()))?;
        let result = unpack(&apt, &package, &work, wanted).and_then(|file| {
            std::fs::write(folder.join("package"), format!("{package}\n"))?;
            std::fs::rename(&file, to).with_context(|| format!("cannot write {}", to.display()))
        });
        let removed = std::fs::remove_dir_all(&work);
        result?;
        removed.with_context(|| format!("cannot remove {}", work.display()))
    }

    fn lock(&self) -> anyhow::Result<Flock<File>> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create {}", self.folder.display()))?;
        let path = self.folder.join("lock");
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .with_context(|| format!("cannot lock {}", path.display()))
    }
}

/// A package name becomes a folder and an argument: only what Debian Policy 5.6.1 allows.
fn check_name(package: &str) -> anyhow::Result<()> {
    let valid = package.len() >= 2
        && package.starts_with(|c: char| c.is_ascii_alphanumeric())
        && package
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
    if valid {
        Ok(())
    } else {
        bail!("{package:?} is no name of a Debian package")
    }
}

/// The package that really holds the kernel: `linux-image-cloud-arm64` only depends on the newest `linux-image-<version>-cloud-arm64`.
fn follow(apt: &Apt, package: &str) -> anyhow::Result<String> {
    let shown = apt.run(
        "apt-cache",
        &[
            "show",
            "--no-all-versions",
            &format!("{package}:{ARCHITECTURE}"),
        ],
    )?;
    Ok(kernel_dependency(&shown).unwrap_or_else(|| package.to_owned()))
}

fn kernel_dependency(shown: &str) -> Option<String> {
    let depends = shown
        .lines()
        .find_map(|line| line.strip_prefix("Depends:"))?;
    depends
        .split(',')
        .filter_map(|dependency| dependency.split_whitespace().next())
        .map(|name| name.split(':').next().unwrap_or(name))
        .find(|name| {
            name.strip_prefix("linux-image-")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
        .map(str::to_owned)
}

/// Downloads the package (apt checks its signature) and unpacks it; returns the wanted file.
fn unpack(apt: &Apt, package: &str, work: &Path, wanted: &Wanted) -> anyhow::Result<PathBuf> {
    apt.run_in(
        work,
        "apt-get",
        &["-q", "download", &format!("{package}:{ARCHITECTURE}")],
    )?;
    let archive = entries(work)?
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let archive =
        archive.with_context(|| format!("apt-get download left no package of {package}"))?;
    let root = work.join("root");
    let status = Command::new("dpkg")
        .arg("-x")
        .arg(&archive)
        .arg(&root)
        .status()
        .context("cannot start dpkg")?;
    if !status.success() {
        bail!("dpkg cannot unpack {} ({status})", archive.display());
    }
    // Since the merge of /bin into /usr/bin a file may be in either.
    let (folder, prefix) = wanted.path.rsplit_once('/').unwrap_or(("", wanted.path));
    for folder in [root.join(folder), root.join("usr").join(folder)] {
        let found = entries(&folder)
            .unwrap_or_default()
            .into_iter()
            .find(|path| {
                path.is_file()
                    && path
                        .file_name()
                        .is_some_and(|name| name.as_bytes().starts_with(prefix.as_bytes()))
            });
        if let Some(file) = found {
            return Ok(file);
        }
    }
    bail!("the package {package} holds no {}…", wanted.path)
}

fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependency_on_the_versioned_kernel_is_followed() {
        let shown = "Package: linux-image-cloud-arm64\nDepends: linux-image-6.12.57+deb12-cloud-arm64 (= 6.12.57-1~bpo12+1), kmod\n";
        assert_eq!(
            kernel_dependency(shown).as_deref(),
            Some("linux-image-6.12.57+deb12-cloud-arm64")
        );
    }

    #[test]
    fn versioned_package_is_taken_itself() {
        assert_eq!(
            kernel_dependency(
                "Package: linux-image-6.12.57-arm64\nDepends: kmod, linux-base (>= 4.3~)\n"
            ),
            None
        );
        assert_eq!(kernel_dependency("Package: busybox-static\n"), None);
    }

    #[test]
    fn names_that_are_paths_or_options_are_refused() {
        for name in ["../x", "-o", "a b", "", "Linux", "a/b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("linux-image-6.12.57+deb12-cloud-arm64").is_ok());
    }

    #[test]
    fn offline_cache_gives_what_it_has_and_names_what_it_lacks() {
        let folder = tempfile::tempdir().expect("folder");
        let cache = Cache::new(folder.path(), true);
        let kernel = folder.path().join("debian/linux-image-cloud-arm64/Image");
        std::fs::create_dir_all(kernel.parent().expect("folder")).expect("folder");
        std::fs::write(&kernel, b"kernel").expect("file");

        assert_eq!(
            cache.kernel("linux-image-cloud-arm64").expect("cached"),
            kernel
        );
        let error = cache.busybox().expect_err("not cached").to_string();
        assert!(
            error.contains("busybox-static") && error.contains("--offline"),
            "{error}"
        );
    }
}
