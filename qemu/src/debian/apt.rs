//! apt with a state of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};

use super::release::Release;
use super::sources;

/// Package indices older than this are fetched again before a package is looked up.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// A private apt state in one folder.
pub struct Apt {
    folder: PathBuf,
    codename: String,
    architecture: Option<&'static str>,
}

impl Apt {
    /// Creates or reuses the state in `folder`. With `architecture`, packages of that architecture are looked up, else the host's.
    ///
    /// # Errors
    /// The host is not Debian, has no source for its own release, or the folder cannot be written.
    pub fn new(folder: &Path, architecture: Option<&'static str>) -> anyhow::Result<Self> {
        let release = Release::of_host();
        if !release.is_debian() {
            bail!(
                "this is {}, not Debian",
                if release.pretty.is_empty() {
                    "an unknown system"
                } else {
                    &release.pretty
                }
            );
        }
        let list = sources::private_list(
            &sources::of_host(Path::new("/etc/apt")),
            &release.codename,
            architecture,
        )
        .with_context(|| {
            format!(
                "the apt sources of this machine have no entry for {} main",
                release.codename
            )
        })?;
        for part in ["lists/partial", "cache/archives/partial"] {
            let path = folder.join(part);
            std::fs::create_dir_all(&path)
                .with_context(|| format!("cannot create {}", path.display()))?;
        }
        let path = folder.join("sources.list");
        if std::fs::read_to_string(&path).unwrap_or_default() != list {
            std::fs::write(&path, list)
                .with_context(|| format!("cannot write {}", path.display()))?;
            // The indices belong to other sources now.
            let _ = std::fs::remove_file(folder.join("updated"));
        }
        Ok(Self {
            folder: folder.to_owned(),
            codename: release.codename,
            architecture,
        })
    }

    /// The options that make any apt program use this state.
    pub fn options(&self) -> Vec<OsString> {
        let mut options = Vec::new();
        let mut add = |key: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            let mut option = OsString::from(key);
            option.push("=");
            option.push(value);
            options.extend([OsString::from("-o"), option]);
        };
        add("Dir::Etc::sourcelist", &self.folder.join("sources.list"));
        add("Dir::Etc::sourceparts", &"-");
        add("Dir::State::Lists", &self.folder.join("lists"));
        add("Dir::Cache", &self.folder.join("cache"));
        // The download user of apt may not reach a folder below a home directory.
        add("APT::Sandbox::User", &"root");
        add("APT::Default-Release", &sources::backports(&self.codename));
        if let Some(architecture) = self.architecture {
            add("APT::Architectures::", &host_architecture());
            add("APT::Architectures::", &architecture);
        }
        options
    }

    /// Fetches the package indices unless they are fresh.
    ///
    /// # Errors
    /// The mirror cannot be reached.
    pub fn update(&self) -> anyhow::Result<()> {
        let stamp = self.folder.join("updated");
        let age = std::fs::metadata(&stamp)
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        // apt-get update reports unreachable mirrors as warnings unless told otherwise.
        self.run("apt-get", &["-q", "update", "--error-on=any"])
            .context("the package indices cannot be fetched")?;
        std::fs::write(&stamp, "").with_context(|| format!("cannot write {}", stamp.display()))
    }

    /// Runs an apt program with this state and returns what it printed.
    ///
    /// # Errors
    /// It cannot be started or fails; the message has the last lines of its complaint.
    pub fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        self.run_in(Path::new("."), program, arguments)
    }

    /// The same in a folder: `apt-get download` leaves its file there.
    ///
    /// # Errors
    /// See [`run`](Self::run).
    pub fn run_in(
        &self,
        folder: &Path,
        program: &str,
        arguments: &[&str],
    ) -> anyhow::Result<String> {
        let output = Command::new(program)
            .args(self.options())
            .args(arguments)
            .current_dir(folder)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {program}"))?;
        if !output.status.success() {
            bail!(
                "{program} {} failed ({}): {}",
                arguments.join(" "),
                output.status,
                complaint(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The command line, as text for the user, that installs packages into the system with this state.
    pub fn install_arguments(packages: &[&str]) -> Vec<String> {
        let mut arguments: Vec<String> = ["-q", "install", "-y", "--no-install-recommends"]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(packages.iter().map(|&package| package.to_owned()));
        arguments
    }
}

/// Debian's name of the architecture that this program runs on.
fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The lines of apt's error output that say what is wrong.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("E:"))
        .take(3)
        .collect();
    if lines.is_empty() {
        text.lines().last().unwrap_or("no message").to_owned()
    } else {
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaint_is_the_error_lines_of_apt() {
        let text = b"W: old key\nE: Unable to locate package x\nE: No packages found\n";
        assert_eq!(
            complaint(text),
            "E: Unable to locate package x; E: No packages found"
        );
        assert_eq!(complaint(b"something\nlast\n"), "last");
        assert_eq!(complaint(b""), "no message");
    }
}
