//! Device trees and overlays from their sources, as a kernel builds them: the C preprocessor, then `dtc -@`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context, bail};

/// Lines of a compiler's complaint that are shown.
const SHOWN: usize = 5;

/// True when the file's name says that it must be compiled first.
pub fn is_source(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "dts" || ending == "dtso")
}

/// Compiles the source of a device tree or overlay, with labels. It may include what lies beside it and in `includes`.
///
/// # Errors
/// A program is missing, or one of them complains.
pub fn compile(source: &Path, includes: &[&Path]) -> anyhow::Result<Vec<u8>> {
    let beside = source.parent().unwrap_or(Path::new("."));
    let mut preprocess = Command::new("cpp");
    preprocess.args([
        "-nostdinc",
        "-undef",
        "-D__DTS__",
        "-x",
        "assembler-with-cpp",
    ]);
    let mut compile = Command::new("dtc");
    compile.args(["-@", "-q", "-I", "dts", "-O", "dtb"]);
    for folder in includes.iter().copied().chain([beside]) {
        preprocess.arg("-I").arg(folder);
        compile.arg("-i").arg(folder);
    }
    preprocess.arg(source);
    compile.arg("-");
    let text =
        filter("cpp", &mut preprocess, &[]).and_then(|text| filter("dtc", &mut compile, &text));
    text.with_context(|| format!("{} cannot be compiled", source.display()))
}

/// A device tree with nodes added: `source` is what comes behind the tree in its source.
///
/// # Errors
/// `dtc` is missing or complains.
pub fn add(tree: &[u8], source: &str) -> anyhow::Result<Vec<u8>> {
    let dtc = |from: &str, to: &str, input: &[u8]| {
        let mut command = Command::new("dtc");
        filter(
            "dtc",
            command.args(["-q", "-I", from, "-O", to, "-"]),
            input,
        )
    };
    let mut text = dtc("dtb", "dts", tree)?;
    text.extend_from_slice(source.as_bytes());
    dtc("dts", "dtb", &text)
}

/// What a program makes of its input.
fn filter(name: &str, command: &mut Command, input: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // A program that stops reading says itself why.
            let _ = stdin.map(|mut stdin| stdin.write_all(input));
        });
        child.wait_with_output()
    })
    .with_context(|| format!("cannot read what {name} says"))?;
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&stderr);
        let lines: Vec<&str> = complaint.lines().take(SHOWN).collect();
        bail!("{name} says: {}", lines.join("; "));
    }
    Ok(stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where device trees cannot be compiled there is nothing to test; the set-up installs what is needed before other tests run.
    fn compiled(text: &str) -> Option<anyhow::Result<Vec<u8>>> {
        let folder = tempfile::tempdir().expect("folder");
        let include = folder.path().join("include");
        std::fs::create_dir(&include).expect("folder");
        std::fs::write(include.join("numbers.h"), "#define NUMBER 0x2a\n").expect("file");
        let source = folder.path().join("board.dts");
        std::fs::write(&source, text).expect("file");
        let result = compile(&source, &[&include]);
        match &result {
            Err(error) if format!("{error:#}").contains("cannot start") => {
                eprintln!("SKIPPED: {error:#}");
                None
            }
            _ => Some(result),
        }
    }

    #[test]
    fn source_is_preprocessed_and_compiled_with_labels() {
        let text = "/dts-v1/;\n#include <numbers.h>\n/ { one: node { value = <NUMBER>; }; };\n";
        if let Some(tree) = compiled(text) {
            let tree = tree.expect("compiles");
            assert_eq!(tree.get(..4), Some(&[0xd0, 0x0d, 0xfe, 0xed][..]));
            let symbols = b"__symbols__";
            assert!(tree.windows(symbols.len()).any(|part| part == symbols));
        }
    }

    #[test]
    fn error_names_the_file_and_the_line() {
        if let Some(tree) = compiled("/dts-v1/;\n/ {\n  node { value = <1> }; };\n") {
            let error = format!("{:#}", tree.expect_err("a semicolon is missing"));
            assert!(
                error.contains("board.dts cannot be compiled") && error.contains("dtc says"),
                "{error}"
            );
            assert!(error.contains(":3."), "{error}");
        }
    }

    #[test]
    fn missing_include_is_told_by_the_preprocessor() {
        if let Some(tree) = compiled("#include <no-such.h>\n") {
            let error = format!("{:#}", tree.expect_err("no such file"));
            assert!(error.contains("no-such.h"), "{error}");
        }
    }

    #[test]
    fn names_of_sources_are_told_from_those_of_compiled_trees() {
        assert!(is_source(Path::new("a.dts")) && is_source(Path::new("a.dtso")));
        assert!(!is_source(Path::new("a.dtb")) && !is_source(Path::new("a.dtbo")));
    }
}
