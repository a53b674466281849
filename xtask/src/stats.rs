//! `cargo xtask stats`: the figures that have ceilings.

mod history;
mod shared;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use compiler::Target;
use serde::Serialize;

use crate::build::Builder;
use crate::image;
use crate::linked::graph::Graph;
use crate::linked::panics::{self, Allowed};
use crate::linked::stack::{self, Stacks};
use crate::packages::{self, Package};
use crate::source_lines::{self, Count};

/// Crates that are linked into an arm64 image, with their folders.
const IMAGE_CRATES: [(&str, &str); 7] = [
    ("model", "configs/model"),
    ("rtds", "rtds"),
    ("gic", "gic"),
    ("smmu", "smmu"),
    ("hv", "hv"),
    ("hv-log", "log"),
    ("platforms", "platforms"),
];

/// The system whose image is measured, and which a PC's is compared with.
const SYSTEM: &str = "configs/qemu-virt-gicv3/demo.toml";

/// Ceilings, for every system.
const MOST_BYTES: u64 = 96 * 1024;
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
    /// The optional parts that the system uses.
    features: Vec<&'static str>,
    lines: usize,
    unsafe_blocks: usize,
    crates: Vec<CrateFigures>,
    /// Functions that can panic.
    panics: panics::Findings,
    /// How deep the stack gets.
    stacks: Stacks,
    /// What is linked into the image and is not ours.
    packages: Vec<Package>,
}

#[derive(Serialize)]
struct CrateFigures {
    name: &'static str,
    lines: usize,
    unsafe_blocks: usize,
}

/// How the figures are told.
#[derive(Args)]
pub struct StatsArguments {
    /// The system whose image is measured.
    #[arg(default_value = SYSTEM)]
    system: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write the figures down for the commit that is checked out, in docs/history.jsonl, and draw docs/history.svg.
    #[arg(long)]
    record: bool,
}

/// Prints the figures of a system's image; of a PC's, what it has in common with an arm64 image.
///
/// # Errors
/// The system does not build, a source file cannot be read, or the history cannot be written.
pub fn run(builder: &Builder, arguments: &StatsArguments) -> anyhow::Result<u8> {
    let StatsArguments {
        system,
        json,
        record,
    } = arguments;
    // The default is relative to the checkout, whatever folder the user is in.
    let system = if system.is_file() {
        system.to_owned()
    } else {
        builder.workspace().root().join(system)
    };
    let built = builder.build(&system)?;
    if built.compiled.target == Target::Pc {
        ensure!(!record, "only an arm64 image has figures that are kept");
        return shared::run(builder, &built, Path::new(SYSTEM), *json);
    }
    let elf = built.folder.join("bulkhead.elf");
    let elf = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let sizes = image::sizes(&elf)?;
    let list = builder.workspace().root().join(panics::LIST);
    let list = std::fs::read_to_string(&list)
        .with_context(|| format!("cannot read {}", list.display()))?;
    let graph = Graph::read(&elf)?;
    let panics = Allowed::parse(&list)?.judge(&panics::find(&graph)?);
    let stacks = stack::measure(&graph, stack::sizes(&elf, built.compiled.pcpus.len())?);
    let packages = packages::linked(builder, &built.compiled.image_features)?;
    let root = builder.workspace().root();
    let manifests = IMAGE_CRATES
        .iter()
        .map(|(_, folder)| {
            let manifest = root.join(folder).join("Cargo.toml");
            std::fs::read_to_string(&manifest)
                .with_context(|| format!("cannot read {}", manifest.display()))
        })
        .collect::<anyhow::Result<Vec<String>>>()?;
    let chosen = [&built.compiled.image_features[..], &["image"]].concat();
    let features = source_lines::features::implied(&chosen, &manifests)?;
    let features: Vec<&str> = features.iter().map(String::as_str).collect();
    let mut crates = Vec::new();
    let mut total = Count::default();
    for (name, folder) in IMAGE_CRATES {
        let folder = root.join(folder).join("src");
        let mut count = Count::default();
        for source in built
            .sources
            .iter()
            .filter(|path| path.starts_with(&folder))
        {
            let text = std::fs::read_to_string(source)
                .with_context(|| format!("cannot read {}", source.display()))?;
            count += source_lines::count(&text, &features);
        }
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
        features: built.compiled.image_features,
        lines: total.lines,
        unsafe_blocks: total.unsafe_blocks,
        crates,
        panics,
        stacks,
        packages,
    };
    if *record {
        let deepest = figures.stacks.entries.first();
        let sizes = history::Sizes {
            image_bytes: figures.image_bytes,
            lines: figures.lines as u64,
            unsafe_blocks: figures.unsafe_blocks as u64,
            stack_bytes: deepest.map(|entry| entry.bytes),
        };
        let name = builder.workspace().shown(&system).to_string();
        history::add(builder.workspace(), &name, sizes)?;
    }
    let sound = figures.panics.problems.is_empty() && figures.stacks.problems.is_empty();
    if *json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print(&figures);
    }
    Ok(u8::from(!sound))
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
    println!("optional parts         {}", figures.features.join(", "));
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
    println!();
    println!(
        "functions that can panic: {} justified in {}, {} not",
        figures.panics.justified,
        panics::LIST,
        figures.panics.problems.len()
    );
    for problem in &figures.panics.problems {
        println!("  {problem}");
    }
    println!();
    let size = figures.stacks.size;
    println!(
        "stack below each entry   bytes of {}, of {} at boot, at most",
        size.pcpu, size.boot
    );
    for entry in &figures.stacks.entries {
        println!("  {:<48} {:>6}", entry.function, entry.bytes);
    }
    for problem in &figures.stacks.problems {
        println!("  {problem}");
    }
    println!();
    println!("packages of others in the image");
    for package in &figures.packages {
        println!(
            "  {:<22} {:<10} {}",
            package.name, package.version, package.licence
        );
    }
}
