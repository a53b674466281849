//! What is kept of Debian packages: fetched once, outside the source tree.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};

use super::apt::Apt;
use super::package::{self, architecture};
use super::part::Part;
use super::uio;

/// The cache. Nothing in it is ever changed, only added, so it serves several checkouts.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    offline: bool,
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

    /// True when this part of the package needs no download.
    pub fn has(&self, package: &str, part: Part) -> bool {
        package::check_name(package).is_ok() && self.path(package, part).exists()
    }

    /// A part of a package, for example the kernel of `linux-image-cloud-arm64`: a file or a folder, as [`Part`] says. A package
    /// that only depends on the newest version is followed. Fetched unless cached.
    ///
    /// # Errors
    /// The package does not exist, cannot be fetched, or holds no such part.
    pub fn get(&self, package: &str, part: Part) -> anyhow::Result<PathBuf> {
        package::check_name(package)?;
        let path = self.path(package, part);
        if path.exists() {
            return Ok(path);
        }
        if self.offline {
            bail!(
                "{package} is not in the cache {} and --offline forbids to fetch it",
                self.folder.display()
            );
        }
        let _lock = self.lock()?;
        // Another process may have fetched it while this one waited.
        if path.exists() {
            return Ok(path);
        }
        self.fetch(package, part, &path).with_context(|| {
            format!(
                "the Debian package {package} ({}) cannot be had. By hand: unpack it and copy its {} to {}",
                architecture(package),
                part.found_at(),
                path.display()
            )
        })?;
        Ok(path)
    }

    /// The package that was fetched for this one, when that only depends on the newest version.
    pub fn fetched(&self, package: &str) -> Option<String> {
        let name = std::fs::read_to_string(self.beside(package, "package")).ok()?;
        Some(name.trim().to_owned())
    }

    /// A place for what is made from a package: it goes when the package's folder goes.
    pub fn beside(&self, package: &str, name: &str) -> PathBuf {
        self.folder.join("debian").join(package).join(name)
    }

    fn path(&self, package: &str, part: Part) -> PathBuf {
        self.beside(package, part.name())
    }

    /// The generic UIO driver for devices of a device tree, as modules of a kernel package: a folder with [`uio::MODULES`]. `source` is its
    /// source, from the same Debian. Made unless cached.
    ///
    /// # Errors
    /// A package cannot be fetched, or the driver does not compile.
    pub fn uio(&self, kernel: &str, source: &Path) -> anyhow::Result<PathBuf> {
        package::check_name(kernel)?;
        let path = self.uio_at(kernel);
        if path.exists() {
            return Ok(path);
        }
        if self.offline {
            bail!(
                "the UIO driver of {kernel} is not in the cache and --offline forbids to make it"
            );
        }
        let _lock = self.lock()?;
        if path.exists() {
            return Ok(path);
        }
        let work = self.beside(kernel, &format!("making-{}", std::process::id()));
        let made = uio::make(kernel, source, &work, |package, into| {
            package::download(&self.apt(package)?, package, into)
        });
        let made = made.and_then(|made| Ok(std::fs::rename(made, &path)?));
        let removed = std::fs::remove_dir_all(&work);
        made.with_context(|| format!("the UIO driver of {kernel} cannot be made"))?;
        removed.with_context(|| format!("cannot remove {}", work.display()))?;
        Ok(path)
    }

    /// True when [`uio`](Self::uio) needs to make nothing.
    pub fn has_uio(&self, kernel: &str) -> bool {
        package::check_name(kernel).is_ok() && self.uio_at(kernel).exists()
    }

    fn uio_at(&self, kernel: &str) -> PathBuf {
        self.beside(kernel, "uio-modules")
    }

    /// apt for packages of this one's architecture, with fresh indices.
    fn apt(&self, package: &str) -> anyhow::Result<Apt> {
        // The indices of an architecture are a state of their own.
        let architecture = architecture(package);
        let state = match architecture {
            "arm64" => "apt".to_owned(),
            other => format!("apt-{other}"),
        };
        let apt = Apt::new(&self.folder.join(state), Some(architecture))?;
        apt.update()?;
        Ok(apt)
    }

    fn fetch(&self, package: &str, part: Part, to: &Path) -> anyhow::Result<()> {
        let apt = self.apt(package)?;
        let folder = to.parent().context("a cached file has a folder")?;
        let work = folder.join(format!("unpacking-{}", std::process::id()));
        std::fs::create_dir_all(&work)
            .with_context(|| format!("cannot create {}", work.display()))?;
        let result = package::download(&apt, package, &work).and_then(|fetched| {
            let unpacked = part.unpack(&fetched.archive, &work)?;
            std::fs::write(folder.join("package"), format!("{}\n", fetched.name))?;
            std::fs::rename(&unpacked, to).with_context(|| format!("cannot write {}", to.display()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debian::part::BUSYBOX;

    #[test]
    fn offline_cache_gives_what_it_has_and_names_what_it_lacks() {
        let folder = tempfile::tempdir().expect("folder");
        let cache = Cache::new(folder.path(), true);
        let kernel = folder.path().join("debian/linux-image-cloud-arm64/Image");
        std::fs::create_dir_all(kernel.parent().expect("folder")).expect("folder");
        std::fs::write(&kernel, b"kernel").expect("file");

        assert!(cache.has("linux-image-cloud-arm64", Part::Kernel));
        assert_eq!(
            cache
                .get("linux-image-cloud-arm64", Part::Kernel)
                .expect("cached"),
            kernel
        );
        let error = cache
            .get(BUSYBOX, Part::BusyBox)
            .expect_err("not cached")
            .to_string();
        assert!(
            error.contains("busybox-static") && error.contains("--offline"),
            "{error}"
        );
    }

    #[test]
    fn package_that_is_a_path_is_never_in_the_cache() {
        let folder = tempfile::tempdir().expect("folder");
        let cache = Cache::new(folder.path(), false);
        std::fs::create_dir_all(folder.path().join("debian")).expect("folder");
        std::fs::write(folder.path().join("Image"), b"kernel").expect("file");
        assert!(!cache.has("..", Part::Kernel));
        assert!(cache.get("..", Part::Kernel).is_err());
    }
}
