//! `cargo xtask stats`: the figures that have ceilings.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use crate::build::Builder;
use crate::image;
use crate::source_lines::{self, Count};

/// Crates that are linked into an arm64 image, with their folders.
const IMAGE_CRATES: [(&str, &str); 5] = [
    ("model", "configs/model"),
    ("rtds", "rtds"),
    ("gic", "gic"),
    ("hv", "hv"),
    ("platforms", "platforms"),
];

/// Ceilings of the design, section 8.
const MOST_BYTES: u64 = 128 * 1024;
const MOST_LINES: usize = 10_000;

/// What `--json` prints.
#[derive(Serialize)]
struct Figures {
    /// Bytes of code, constants and initialized variables, without payload.
    image_bytes: u64,
    text_bytes: u64,
    rodata_bytes: u64,
    data_bytes: u64,
    bss_bytes: u64,
    /// From the first byte up to the payload: with .bss, stacks and alignment.
    image_bytes_with_bss: u64,
    lines: usize,
    unsafe_blocks: usize,
    crates: Vec<CrateFigures>,
}

#[derive(Serialize)]
struct CrateFigures {
    name: &'static str,
    lines: usize,
    unsafe_blocks: usize,
}

/// Prints the figures of a system's image.
///
/// # Errors
/// The system does not build, or a source file cannot be read.
pub fn run(builder: &Builder, system: &Path, json: bool) -> anyhow::Result<u8> {
    // The default is relative to the checkout, whatever folder the user is in.
    let system = if system.is_file() {
        system.to_owned()
    } else {
        builder.workspace().root().join(system)
    };
    let built = builder.build(&system)?;
    let elf = built.folder.join("bulkhead.elf");
    let elf = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let sizes = image::sizes(&elf)?;
    let mut crates = Vec::new();
    let mut total = Count::default();
    for (name, folder) in IMAGE_CRATES {
        let count = count_folder(&builder.workspace().root().join(folder).join("src"))?;
        total += count;
        crates.push(CrateFigures {
            name,
            lines: count.lines,
            unsafe_blocks: count.unsafe_blocks,
        });
    }
    let figures = Figures {
        image_bytes: sizes.text + sizes.rodata + sizes.data,
        text_bytes: sizes.text,
        rodata_bytes: sizes.rodata,
        data_bytes: sizes.data,
        bss_bytes: sizes.bss,
        image_bytes_with_bss: sizes.span,
        lines: total.lines,
        unsafe_blocks: total.unsafe_blocks,
        crates,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print(&figures);
    }
    Ok(0)
}

fn print(figures: &Figures) {
    println!(
        "image without payload  {:>8} bytes (ceiling {MOST_BYTES})",
        figures.image_bytes
    );
    println!("  code                 {:>8}", figures.text_bytes);
    println!("  constants            {:>8}", figures.rodata_bytes);
    println!("  variables            {:>8}", figures.data_bytes);
    println!("zeroed memory (.bss)   {:>8}", figures.bss_bytes);
    println!("in memory, aligned     {:>8}", figures.image_bytes_with_bss);
    println!();
    println!("compiled in            lines  unsafe blocks");
    for figure in &figures.crates {
        println!(
            "  {:<18} {:>7}  {:>13}",
            figure.name, figure.lines, figure.unsafe_blocks
        );
    }
    println!(
        "  {:<18} {:>7}  {:>13}   (ceiling {MOST_LINES} lines)",
        "all", figures.lines, figures.unsafe_blocks
    );
}

/// Counts every Rust file below a folder that is compiled in: no module of tests, none behind a feature.
fn count_folder(folder: &Path) -> anyhow::Result<Count> {
    let mut files = Vec::new();
    list_files(folder, &mut files)?;
    let mut sources = Vec::new();
    let mut tests = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for module in source_lines::left_out_modules(&text) {
            tests.push(submodules(&path).join(module));
        }
        sources.push((path, text));
    }
    let mut count = Count::default();
    for (path, text) in sources {
        let module = submodules(&path);
        if !tests.iter().any(|test| module.starts_with(test)) {
            count += source_lines::count(&text);
        }
    }
    Ok(count)
}

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            list_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The folder in which a source file's submodules are; for a file that has none, the folder that it would be.
fn submodules(file: &Path) -> PathBuf {
    let stem = file.with_extension("");
    match stem.file_name().and_then(|name| name.to_str()) {
        Some("mod" | "lib" | "main") => stem.parent().map_or(stem.clone(), Path::to_owned),
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submodules_of_a_folder_and_of_a_file_are_found_where_rust_looks() {
        assert_eq!(submodules(Path::new("src/lib.rs")), Path::new("src"));
        assert_eq!(submodules(Path::new("src/a/mod.rs")), Path::new("src/a"));
        assert_eq!(submodules(Path::new("src/a.rs")), Path::new("src/a"));
    }
}
