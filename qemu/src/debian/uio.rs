//! Linux' generic UIO driver for devices of a device tree, `uio_pdrv_genirq`, as a module: Debian's kernels for arm64 have UIO and leave this
//! driver of it out. It is compiled as it is in Debian's own sources, with the headers and the tools that Debian gives for the very kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::package::Fetched;
use super::part::{collect_module, unpack_all};

/// In the order in which they are loaded.
pub const MODULES: [&str; 2] = ["uio.ko", DRIVER];

const DRIVER: &str = "uio_pdrv_genirq.ko";

/// The compiler, by the name that it has on hosts of either architecture.
pub const COMPILER: &str = "aarch64-linux-gnu-gcc";

/// Makes the modules of a kernel package in a folder below `work`. `download` fetches a package into a folder.
pub(super) fn make(
    kernel: &str,
    source: &Path,
    work: &Path,
    download: impl Fn(&str, &Path) -> anyhow::Result<Fetched>,
) -> anyhow::Result<PathBuf> {
    let (root, driver, made) = (work.join("root"), work.join("driver"), work.join("modules"));
    for folder in [&root, &driver, &made] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let unpack = |package: &str| {
        let into = work.join(package.replace(':', "-"));
        fs::create_dir_all(&into).with_context(|| format!("cannot create {}", into.display()))?;
        let fetched = download(package, &into);
        let fetched = fetched.with_context(|| format!("{package} cannot be fetched"))?;
        unpack_all(&fetched.archive, &root)
    };
    unpack(kernel)?;
    collect_module(&root, MODULES[0], &made.join(MODULES[0]))?;

    let headers = kernel.replace("linux-image-", "linux-headers-");
    unpack(&headers)?;
    let headers = root.join("usr/src").join(headers);
    let makefile = headers.join("Makefile");
    let text = fs::read_to_string(&makefile)
        .with_context(|| format!("cannot read {}", makefile.display()))?;
    let common = text.split('/').find(|part| part.ends_with("-common"));
    unpack(common.context("the headers name no common ones")?)?;
    let scripts = fs::read_link(headers.join("scripts")).context("the headers have no scripts")?;
    let tools = scripts.iter().rev().nth(1).and_then(|name| name.to_str());
    // They run on this machine.
    let tools = tools.context("the headers name no tools")?;
    unpack(&match std::env::consts::ARCH {
        "x86_64" => format!("{tools}:amd64"),
        _ => tools.to_owned(),
    })?;
    // The headers expect to lie in the root of the file system. Without the kernel itself no debugging information is made from it.
    let place = format!("{}/usr/src/", root.display());
    fs::write(&makefile, text.replace("/usr/src/", &place)).context("cannot change the headers")?;
    let _ = fs::remove_file(headers.join("vmlinux"));

    fs::copy(source, driver.join("uio_pdrv_genirq.c"))
        .with_context(|| format!("cannot copy {}", source.display()))?;
    fs::write(driver.join("Kbuild"), "obj-m := uio_pdrv_genirq.o\n")?;
    let output = Command::new("make")
        .arg("-C")
        .arg(&headers)
        .arg(format!("M={}", driver.display()))
        .args([&format!("CC={COMPILER}"), "modules"])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .context("cannot start make")?;
    ensure!(
        output.status.success(),
        "make failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    fs::rename(driver.join(DRIVER), made.join(DRIVER)).context("make has left no module")?;
    Ok(made)
}
