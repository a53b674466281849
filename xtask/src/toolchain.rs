//! The Rust that builds for the boards.
//!
//! The usual way is the user's own toolchain with rustup's prebuilt targets. Where rustup's server cannot be reached, or there is no
//! rustup, Debian's Rust builds `core` from its source package.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::command;

/// Target of the hypervisor: no floating-point registers, those belong to the guests.
pub const HYPERVISOR_TARGET: &str = "aarch64-unknown-none-softfloat";

/// Target of the Rust guests.
pub const GUEST_TARGET: &str = "aarch64-unknown-none";

/// Target of the hypervisor for PCs and of the guests there: neither has floating-point registers.
pub const PC_TARGET: &str = "x86_64-unknown-none";

/// Target of the programs for Linux partitions, which are static. They need a prebuilt `std`, and no image does: it is no one of [`TARGETS`].
pub const LINUX_TARGET: &str = "aarch64-unknown-linux-musl";

/// All that images need.
pub const TARGETS: [&str; 3] = [HYPERVISOR_TARGET, GUEST_TARGET, PC_TARGET];

/// Forces one way: `rustup` or `debian`.
pub const CHOICE_VARIABLE: &str = "BULKHEAD_RUST";

/// Oldest compiler that builds the image: `rust-version` of the workspace.
const OLDEST: (u32, u32) = (1, 88);

/// Where Debian installs its compiler, apart from any rustup below a home directory.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// A way to build for the boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The toolchain that built this program, with prebuilt targets.
    Prebuilt,
    /// Debian's Rust, which builds `core` and `alloc` itself.
    Debian,
}

/// What the user has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Whatever works.
    Any,
    /// Only this one.
    Only(Toolchain),
}

impl Choice {
    /// Reads `BULKHEAD_RUST`.
    ///
    /// # Errors
    /// It names no known way.
    pub fn from_environment() -> anyhow::Result<Self> {
        Self::parse(std::env::var(CHOICE_VARIABLE).ok().as_deref())
    }

    fn parse(value: Option<&str>) -> anyhow::Result<Self> {
        match value {
            None | Some("") => Ok(Self::Any),
            Some("rustup") => Ok(Self::Only(Toolchain::Prebuilt)),
            Some("debian") => Ok(Self::Only(Toolchain::Debian)),
            Some(other) => {
                bail!("{CHOICE_VARIABLE}={other:?} is unknown; it may be `rustup` or `debian`")
            }
        }
    }

    /// True when this way may be used.
    pub fn allows(self, toolchain: Toolchain) -> bool {
        self == Self::Any || self == Self::Only(toolchain)
    }

    /// The allowed way that is ready, the prebuilt one first.
    pub fn ready(self) -> Option<Toolchain> {
        [Toolchain::Prebuilt, Toolchain::Debian]
            .into_iter()
            .find(|&toolchain| self.allows(toolchain) && toolchain.is_ready())
    }
}

impl Toolchain {
    /// True when this way can build for all targets now.
    pub fn is_ready(self) -> bool {
        match self {
            Self::Prebuilt => TARGETS.iter().all(|target| has_prebuilt(target)),
            Self::Debian => {
                let rustc = || Command::new(DEBIAN_RUSTC);
                let new = command::output(rustc().arg("--version"))
                    .ok()
                    .and_then(|text| rustc_version(&text))
                    >= Some(OLDEST);
                let sources =
                    command::output(rustc().args(["--print", "sysroot"])).is_ok_and(|root| {
                        // Two files far apart: a package whose unpacking was cut off has one of them at most.
                        let library = Path::new(root.trim()).join("lib/rustlib/src/rust/library");
                        ["Cargo.lock", "core/src/lib.rs"]
                            .iter()
                            .all(|file| library.join(file).is_file())
                    });
                new && sources
                    && Path::new(DEBIAN_CARGO).exists()
                    && command::output(Command::new("ld.lld").arg("--version")).is_ok()
            }
        }
    }

    /// For messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Prebuilt => "rustup's prebuilt targets",
            Self::Debian => "Debian's Rust with build-std",
        }
    }

    /// `cargo build` for `target`.
    pub fn build(self, target: &str) -> Command {
        let mut command = match self {
            Self::Prebuilt => {
                let mut command = Command::new(cargo());
                command.arg("build");
                command
            }
            Self::Debian => {
                let mut command = Command::new(DEBIAN_CARGO);
                command.args(["build", "-Zbuild-std=core,alloc"]);
                // build-std is unstable in name only: this variable admits it on a stable compiler.
                command
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", DEBIAN_RUSTC);
                command.env(
                    format!(
                        "CARGO_TARGET_{}_LINKER",
                        target.to_uppercase().replace('-', "_")
                    ),
                    "ld.lld",
                );
                let path = std::env::var_os("PATH").unwrap_or_default();
                let mut first = std::ffi::OsString::from("/usr/bin:");
                first.push(path);
                command.env("PATH", first);
                command.env_remove("RUSTUP_TOOLCHAIN");
                command
            }
        };
        // Set by the cargo that runs this program; another cargo must not believe them.
        for variable in [
            "CARGO",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
        ] {
            command.env_remove(variable);
        }
        if target == LINUX_TARGET {
            // Rust brings a linker and a C library for it, so that no other compiler is needed.
            let variable = |what| format!("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_{what}");
            command.env(variable("LINKER"), "rust-lld");
            command.env(variable("RUSTFLAGS"), "-Clink-self-contained=yes");
        }
        command.args(["--target", target]);
        command
    }
}

/// The cargo that runs this program, for host builds.
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// True when the toolchain in use has a prebuilt library for a target.
pub fn has_prebuilt(target: &str) -> bool {
    let folder = command::output(Command::new("rustc").args([
        "--print",
        "target-libdir",
        "--target",
        target,
    ]));
    folder.is_ok_and(|folder| {
        let files = std::fs::read_dir(folder.trim())
            .into_iter()
            .flatten()
            .flatten();
        files
            .map(|file| file.file_name())
            .any(|name| name.to_string_lossy().starts_with("libcore-"))
    })
}

fn rustc_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("rustc ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What to do by hand where nothing can be installed automatically.
///
/// # Errors
/// Always: this is the message.
pub fn give_up(choice: Choice) -> anyhow::Result<Toolchain> {
    let by_rustup = format!("rustup target add {}", TARGETS.join(" "));
    let result: anyhow::Result<Toolchain> = Err(anyhow::anyhow!(
        "no Rust for the boards. Either: {by_rustup}\nor install a Rust of at least {}.{} under /usr/bin with its source package (`rust-src`) and lld",
        OLDEST.0,
        OLDEST.1
    ));
    match choice {
        Choice::Any => result,
        Choice::Only(toolchain) => result
            .with_context(|| format!("{CHOICE_VARIABLE} allows only {}", toolchain.describe())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_chooses_the_way_and_anything_else_is_refused() {
        assert_eq!(Choice::parse(None).expect("unset"), Choice::Any);
        assert_eq!(
            Choice::parse(Some("debian")).expect("known"),
            Choice::Only(Toolchain::Debian)
        );
        assert!(
            Choice::parse(Some("rustup"))
                .expect("known")
                .allows(Toolchain::Prebuilt)
        );
        assert!(
            !Choice::parse(Some("rustup"))
                .expect("known")
                .allows(Toolchain::Debian)
        );
        assert!(Choice::parse(Some("nightly")).is_err());
    }

    #[test]
    fn compiler_versions_are_read() {
        assert_eq!(
            rustc_version("rustc 1.95.0 (59807616e 2026-04-14)\n"),
            Some((1, 95))
        );
        assert_eq!(
            rustc_version("rustc 1.96.0 (built from a source tarball)"),
            Some((1, 96))
        );
        assert_eq!(rustc_version("bash: rustc: command not found"), None);
    }

    #[test]
    fn debian_build_names_compiler_linker_and_build_std() {
        let command = Toolchain::Debian.build(HYPERVISOR_TARGET);
        let arguments: Vec<_> = command
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            arguments,
            [
                "build",
                "-Zbuild-std=core,alloc",
                "--target",
                HYPERVISOR_TARGET
            ]
        );
        let linker = command
            .get_envs()
            .find(|(name, _)| *name == "CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER");
        assert_eq!(linker.and_then(|(_, value)| value), Some("ld.lld".as_ref()));
    }
}
