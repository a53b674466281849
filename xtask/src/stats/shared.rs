//! How much of a PC's image is what an arm64 image is made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use crate::build::{Builder, Built};
use crate::linked::lines::{self, Lines};

/// Lines of source that have instructions in a PC's image, and those of them that have some in an arm64 image, too.
#[derive(Serialize)]
struct Figures {
    /// The system that the other image is of.
    beside: PathBuf,
    /// All.
    lines: usize,
    /// Those that are in both.
    common: usize,
    /// The same for each crate, by its folder.
    crates: BTreeMap<String, Part>,
}

/// What a crate has of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Part {
    lines: usize,
    common: usize,
}

/// Compares the image of a PC's system with that of the system file `beside`, and prints what they have in common.
///
/// # Errors
/// The other system does not build, or an image cannot be read.
pub fn run(builder: &Builder, pc: &Built, beside: &Path, json: bool) -> anyhow::Result<u8> {
    let root = builder.workspace().root();
    let read = |built: &Built| {
        let elf = built.folder.join("bulkhead.elf");
        let elf = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
        lines::of(&elf, root)
    };
    let crates = parts(&read(pc)?, &read(&builder.build(&root.join(beside))?)?);
    let sum = |figure: fn(&Part) -> usize| crates.values().map(figure).sum();
    let figures = Figures {
        beside: beside.to_owned(),
        lines: sum(|part| part.lines),
        common: sum(|part| part.common),
        crates,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print(&figures);
    }
    Ok(0)
}

/// Counts by crate: by the folder above `src`.
fn parts(pc: &Lines, other: &Lines) -> BTreeMap<String, Part> {
    let mut parts = BTreeMap::<String, Part>::new();
    for (file, numbers) in pc {
        let folder = file.display().to_string();
        let name = folder.split("/src/").next().unwrap_or_default();
        let part = parts.entry(name.to_owned()).or_default();
        part.lines += numbers.len();
        if let Some(others) = other.get(file) {
            part.common += numbers.intersection(others).count();
        }
    }
    parts
}

fn print(figures: &Figures) {
    println!("lines with instructions  in the image  in that of");
    println!(
        "                                       {}, too",
        figures.beside.display()
    );
    let all = Part {
        lines: figures.lines,
        common: figures.common,
    };
    let crates = figures.crates.iter();
    let rows = crates.map(|(name, part)| (name.as_str(), *part));
    for (name, Part { lines, common }) in rows.chain([("all", all)]) {
        let share = 100 * common / lines.max(1);
        println!("  {name:<22} {lines:>12}  {common:>8}  {share:>3} %");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_lines_of_the_same_file_are_common() {
        let file = |name: &str, numbers: &[u64]| (name.into(), numbers.iter().copied().collect());
        let pc = Lines::from([
            file("hv/src/a.rs", &[1, 2, 3]),
            file("x86-port/src/a.rs", &[1]),
        ]);
        let other = Lines::from([file("hv/src/a.rs", &[2, 3, 4]), file("gic/src/a.rs", &[1])]);
        let parts = parts(&pc, &other);
        assert_eq!(
            parts["hv"],
            Part {
                lines: 3,
                common: 2
            }
        );
        let own = Part {
            lines: 1,
            common: 0,
        };
        assert_eq!((parts["x86-port"], parts.len()), (own, 2));
    }
}
