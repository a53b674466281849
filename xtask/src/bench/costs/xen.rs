//! Xen as Debian packages it, with the guest `bench` as its one domain and no dom0: the peer's figures from the same run.

use std::path::Path;

use anyhow::{Context, ensure};
use compiler::Resources;
use qemu::debian::part::Part;
use qemu::machine::Machine;
use qemu::session::Bootable;
use systems::costs::{IMAGE_BYTES, Measured};

use super::bare;
use crate::build::Builder;
use crate::image::{self, header};
use crate::resources::write_if_changed;
use crate::{device_tree, setup};

/// The packages, the one that our figures are compared with first. Debian 12 has the second.
const PACKAGES: [&str; 2] = ["xen-hypervisor-4.20-arm64", "xen-hypervisor-4.17-arm64"];

/// Where the guest's image is put for Xen to take it from: behind Xen and its device tree.
const MODULE: u64 = 0x5000_0000;

/// Where the guest is linked: so far above the base of its memory, wherever that is.
const GUEST_OFFSET: usize = 0x20_0000;

/// A page for the header of the arm64 Image that Xen asks for.
const PAGE: usize = 4096;

/// Xen's options: its default scheduler; and the null scheduler, where each virtual CPU has its CPU and WFI is not trapped.
const OPTIONS: [&str; 2] = ["sched=credit2", "sched=null vwfi=native"];

/// What was measured.
#[derive(Clone, Debug)]
pub struct Xen {
    /// `4.17`.
    pub version: String,
    /// With its default scheduler.
    pub credit2: Measured,
    /// With the null scheduler.
    pub null: Measured,
}

/// The first package that can be had.
///
/// # Errors
/// None can.
pub fn package(builder: &Builder) -> anyhow::Result<String> {
    let had = |package: &&str| {
        setup::part(builder.steps(), builder.cache(), package, Part::Xen)
            .map(|_| (*package).to_owned())
    };
    let cached = PACKAGES
        .iter()
        .find(|package| builder.cache().has(package, Part::Xen));
    if let Some(package) = cached {
        return Ok((*package).to_owned());
    }
    let [first, second] = PACKAGES.each_ref().map(had);
    first.or(second)
}

/// Runs the guest under both schedulers on two CPUs, and on one for the time that boot takes.
///
/// # Errors
/// Xen does not run, or its guest does not measure.
pub fn measure(builder: &Builder, board: &str, package: &str) -> anyhow::Result<Xen> {
    let image = setup::part(builder.steps(), builder.cache(), package, Part::Xen)?;
    let bytes = std::fs::metadata(&image)
        .with_context(|| format!("cannot read {}", image.display()))?
        .len();
    let run = |options, cpus| {
        Run {
            builder,
            board,
            image: &image,
            options,
            cpus,
        }
        .measured()
    };
    let [mut credit2, mut null] = [run(OPTIONS[0], 2)?, run(OPTIONS[1], 2)?];
    for (measured, options) in [(&mut credit2, OPTIONS[0]), (&mut null, OPTIONS[1])] {
        measured.add_boot(&unprefixed(
            &Run {
                builder,
                board,
                image: &image,
                options,
                cpus: 1,
            }
            .console()?,
        ))?;
        measured.add(IMAGE_BYTES, bytes);
    }
    let version = package
        .trim_start_matches("xen-hypervisor-")
        .trim_end_matches("-arm64");
    Ok(Xen {
        version: version.to_owned(),
        credit2,
        null,
    })
}

/// One run of Xen.
struct Run<'a> {
    builder: &'a Builder,
    board: &'a str,
    image: &'a Path,
    options: &'static str,
    cpus: u32,
}

impl Run<'_> {
    fn measured(&self) -> anyhow::Result<Measured> {
        Measured::read(&unprefixed(&self.console()?))
    }

    fn console(&self) -> anyhow::Result<String> {
        let folder = self.builder.output().join("bench/costs/xen");
        let elf = bare::guest(self.builder)?;
        let elf = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
        let module = guest_image(&elf)?;
        let module_file = folder.join("bench.img");
        write_if_changed(&module_file, &module)?;
        let tree = folder.join("machine.dtb");
        write_if_changed(&tree, &self.tree(module.len())?)?;
        let machine = bare::machine(self.builder, self.board)?;
        let bootable = Bootable {
            image: self.image.to_owned(),
            elf: None,
            machine: Machine {
                cpus: Some(self.cpus),
                tree: Some(tree),
                ..machine
            },
            partitions: Vec::new(),
            files: vec![(MODULE, module_file)],
        };
        bare::console(self.builder, &bootable, Vec::new())
    }

    /// The machine's device tree, with what Xen shall do in `/chosen`.
    fn tree(&self, module_bytes: usize) -> anyhow::Result<Vec<u8>> {
        setup::device_trees(self.builder.steps(), self.builder.offline())?;
        let files = self.builder.host().board(self.board);
        let files = files.map_err(|error| anyhow::anyhow!("{}: {error:?}", self.board))?;
        device_tree::add(&files.tree, &chosen(self.options, self.cpus, module_bytes))
    }
}

/// What Xen reads (its `docs/misc/arm/device-tree/booting.txt`): a domain with 64 MiB and a console.
fn chosen(options: &str, cpus: u32, module_bytes: usize) -> String {
    format!(
        r#"/ {{ chosen {{
    #address-cells = <2>;
    #size-cells = <2>;
    xen,xen-bootargs = "console=dtuart dtuart=/pl011@9000000 {options}";
    domU1 {{
        compatible = "xen,domain";
        #address-cells = <2>;
        #size-cells = <2>;
        cpus = <{cpus}>;
        memory = <0 65536>;
        vpl011;
        module@{MODULE:x} {{
            compatible = "multiboot,kernel", "multiboot,module";
            reg = <0 {MODULE:#x} 0 {module_bytes}>;
        }};
    }};
}}; }};
"#
    )
}

/// The guest as an arm64 Image, which is the only kind that Xen starts without a decompressor: a page with the header, that jumps to the guest behind it.
fn guest_image(elf: &[u8]) -> anyhow::Result<Vec<u8>> {
    const BRANCH: u32 = 0x1400_0000;
    let code = image::between(elf, image::START, "__image_end")?;
    ensure!(!code.is_empty(), "the guest bench is empty");
    let mut page = vec![0; PAGE];
    let mut put = |at: usize, bytes: &[u8]| page[at..][..bytes.len()].copy_from_slice(bytes);
    put(0, &(BRANCH | (PAGE / 4) as u32).to_le_bytes());
    put(
        header::TEXT_OFFSET,
        &((GUEST_OFFSET - PAGE) as u64).to_le_bytes(),
    );
    put(header::SIZE, &((PAGE + code.len()) as u64).to_le_bytes());
    put(header::MAGIC, &header::MAGIC_BYTES);
    page.extend(code);
    Ok(page)
}

/// Lines of the domain, without what Xen puts before them.
fn unprefixed(console: &str) -> String {
    console.replace("(XEN) DOM1: ", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_domain_are_read_as_those_of_the_bare_guest() {
        let console =
            "(XEN) CPU 1 booted.\r\n(XEN) DOM1: bench: sgi-self min=1 p50=2 p99=3 max=4 ticks\r\n";
        let measured = Measured::read(&unprefixed(console)).expect("a row");
        assert_eq!(measured.cost("sgi-self"), Some(2));
    }

    #[test]
    fn module_in_the_tree_has_the_length_of_the_image() {
        let text = chosen("sched=null", 2, 585_728);
        assert!(text.contains("reg = <0 0x50000000 0 585728>;"), "{text}");
        assert!(text.contains("cpus = <2>;"), "{text}");
    }
}
