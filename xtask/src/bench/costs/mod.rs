//! `cargo xtask bench`: what exits, boot and image cost, beside what is asked for, the bare machine and other hypervisors.

pub(super) mod bare;
mod bars;
mod compare;
mod outcome;
mod spread;
mod text;
mod xen;

use std::path::Path;

use anyhow::Context;
use systems::costs::{Budget, CONTROLLERS, IMAGE_BYTES, Measured};

use super::{CostArguments, counted_text};
use crate::build::Builder;
use crate::image;
use crate::resources::write_if_changed;
use crate::setup;
use crate::workspace::Workspace;
use outcome::{Controller, Outcome};

/// The page that `--docs` writes, and the text around its table.
const PAGE: &str = "docs/performance.md";
const AROUND: &str = include_str!("performance.md");

/// Measures and prints the table. The status is 1 when a row is above its bound, or dearer than in the run to compare with.
///
/// # Errors
/// A system does not build, its guest does not measure, or a file cannot be read or written.
pub fn run(builder: &Builder, arguments: &CostArguments) -> anyhow::Result<u8> {
    // An old run that cannot be read is told before minutes are spent.
    let old = arguments
        .compare
        .as_deref()
        .map(Outcome::read)
        .transpose()?;
    setup::qemu(builder.steps(), builder.offline())?;
    let [v3, v2] = CONTROLLERS.map(|controller| measure(builder, controller));
    let outcome = Outcome::new(Budget::read()?, [v3?, v2?])?;
    let folder = builder.output().join("bench/costs");
    write(builder.workspace(), &folder, &outcome, arguments.docs)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print!("{}", text::table(&outcome));
        println!(
            "the same as JSON, Markdown and bars: {}",
            builder.workspace().shown(&folder)
        );
    }
    let changes = old.map(|old| compare::changes(&old, &outcome));
    if let Some(changes) = &changes {
        eprint!("{}", compare::text(changes));
    }
    let dearer = changes.is_some_and(|changes| changes.iter().any(compare::Change::is_dearer));
    Ok(u8::from(!outcome.pass || dearer))
}

/// Keeps the outcome for people and programs.
fn write(
    workspace: &Workspace,
    folder: &Path,
    outcome: &Outcome,
    docs: bool,
) -> anyhow::Result<()> {
    let markdown = text::markdown(outcome);
    let keep = |name: &str, text: &str| write_if_changed(&folder.join(name), text.as_bytes());
    keep("costs.json", &serde_json::to_string_pretty(outcome)?)?;
    keep("costs.md", &markdown)?;
    for (index, controller) in CONTROLLERS.iter().enumerate() {
        for (name, picture) in [
            ("costs", bars::draw(outcome, index)),
            ("spread", spread::draw(outcome, index)),
        ] {
            let name = format!("{name}-{controller}.svg");
            keep(&name, &picture)?;
            if docs {
                let path = workspace.root().join("docs").join(name);
                write_if_changed(&path, picture.as_bytes())?;
            }
        }
    }
    if docs {
        let page = AROUND.replace("{table}", markdown.trim_end());
        write_if_changed(&workspace.root().join(PAGE), page.as_bytes())?;
    }
    Ok(())
}

/// Everything that is measured with one interrupt controller.
fn measure(builder: &Builder, controller: &str) -> anyhow::Result<Controller> {
    let steps = builder.steps();
    let bulkhead = steps.doing(&format!("costs with {controller}"), || {
        ours(builder, controller)
    })?;
    let board = format!("qemu-virt-{controller}");
    let bare = steps.doing(&format!("the bare machine with {controller}"), || {
        bare::measure(builder, &board)
    })?;
    let xen = match xen::package(builder) {
        Ok(package) => Some(steps.doing(&format!("{package} with {controller}"), || {
            xen::measure(builder, &board, &package)
        })?),
        Err(error) => {
            steps.note(&format!(
                "Xen is not measured, older figures are shown: {error:#}"
            ));
            None
        }
    };
    Ok(Controller {
        bulkhead,
        bare,
        xen,
    })
}

/// Runs the guest `bench` on two CPUs, and on one for the time that boot takes; then the guest `wake` beside one that spins, and the guest
/// `messages` at both ends of a channel.
fn ours(builder: &Builder, controller: &str) -> anyhow::Result<Measured> {
    let system = |name: &str| {
        builder
            .workspace()
            .root()
            .join(format!("configs/qemu-virt-{controller}/{name}.toml"))
    };
    let bench = builder.build(&system("bench"))?;
    let mut measured = Measured::read(&counted_text(&bench, BENCH)?)?;
    let elf = bench.folder.join("bulkhead.elf");
    let elf = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let sizes = image::sizes(&elf)?;
    measured.add(IMAGE_BYTES, sizes.text + sizes.rodata + sizes.data);
    measured.add_boot(&counted_text(&builder.build(&system("boot"))?, BENCH)?)?;
    measured.add_wake(&counted_text(&builder.build(&system("wake"))?, WAKE)?)?;
    let channel = builder.build(&system("channel"))?;
    measured.add_rows(&counted_text(&channel, MESSAGES)?)?;
    Ok(measured)
}

/// A guest that measures, and what it prints at its end.
type Guest = [&'static str; 2];
const BENCH: Guest = ["bench", "^bench: (done|FAILED.*)$"];
const MESSAGES: Guest = ["first", "^messages: (done|FAILED.*)$"];
const WAKE: Guest = ["wake", "^wake: late .* sleeps$"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_the_docs_is_the_text_around_a_table_with_every_row() {
        let page = include_str!("../../../../docs/performance.md");
        let (before, after) = AROUND.split_once("{table}").expect("a place for the table");
        assert!(page.starts_with(before) && page.ends_with(after), "{page}");
        let budget = Budget::read().expect("budget");
        for row in budget.rows.iter().chain(&budget.wakes) {
            assert!(
                page.contains(&format!("| {} |", row.title)),
                "{}",
                row.title
            );
        }
    }
}
