//! One domain: memory, virtual CPUs, console, and the modules that the boot loader puts into memory for it.

use super::boot_arguments::BootArguments;
use super::devices::{self, Devices};
use super::{ImportError, Source};
use crate::devicetree::{NodeId, TreeError};
use crate::toml_text as text;

/// A domain as far as it can be said here.
#[derive(Debug)]
pub(super) struct Domain {
    /// Its node; `/chosen` for dom0.
    pub node: NodeId,
    pub name: String,
    pub memory: Vec<Memory>,
    pub vcpus: u32,
    /// Board indices by virtual CPU, where the configuration says something.
    pub affinity: Vec<(u32, Vec<usize>)>,
    pub console: bool,
    /// Path or placeholder of each file.
    pub kernel: Option<String>,
    pub ramdisk: Option<String>,
    pub cmdline: Option<String>,
    pub devices: Devices,
    /// Lines for the comment above it.
    pub remarks: Vec<String>,
}

/// A region of memory.
#[derive(Debug)]
pub(super) struct Memory {
    pub size: u64,
    pub address: Option<u64>,
    pub identity: bool,
}

/// Xen's default for dom0 on Arm.
const DOM0_MEMORY: u64 = 512 << 20;
/// The smallest piece of memory that can be given.
const PAGE: u64 = 4096;

const KERNEL: [&str; 2] = ["multiboot,kernel", "xen,linux-zimage"];
const RAMDISK: [&str; 2] = ["multiboot,ramdisk", "xen,linux-initrd"];

/// Properties of a domain that have no counterpart: what to do instead.
const WITHOUT_COUNTERPART: [(&str, &str); 15] = [
    (
        "nr_spis",
        "nothing to do: a partition has the interrupts of its devices and of `interrupts`",
    ),
    (
        "xen,enhanced",
        "there are no Xen services here: replace grant tables and Xenstore by a channel",
    ),
    (
        "xen,domain-p2m-mem-mb",
        "nothing to do: translation tables are sized when the system is built",
    ),
    (
        "max_grant_version",
        "nothing to do: there are no grant tables",
    ),
    (
        "max_grant_frames",
        "nothing to do: there are no grant tables",
    ),
    (
        "max_maptrack_frames",
        "nothing to do: there are no grant tables",
    ),
    (
        "passthrough",
        "nothing to do: a device's DMA always goes through its IOMMU, or `dma = \"trusted\"` says that it does not",
    ),
    (
        "llc-colors",
        "caches are not coloured: measure whether the partition keeps its deadlines beside the others",
    ),
    (
        "sve",
        "SVE is not given to partitions: see that the guest runs without it",
    ),
    (
        "xen,sci_type",
        "if the guest needs firmware calls for what it owns, add `firmware_calls = \"mediated\"`",
    ),
    (
        "tee",
        "a trusted OS is reached by firmware calls: `firmware_calls = true` passes all of them on",
    ),
    (
        "capabilities",
        "no partition controls the others: leave out what only a control domain does",
    ),
    (
        "trap-unmapped-accesses",
        "choose what an access outside the partition does with `on_fault`",
    ),
    ("v8r_el1_msa", "Armv8-R is not supported"),
    (
        "seclabel",
        "nothing to do: partitions share nothing that the system file does not say",
    ),
];
/// Properties that are taken over, or that say nothing about the domain.
const TAKEN: [&str; 14] = [
    "compatible",
    "name",
    "phandle",
    "linux,phandle",
    "#address-cells",
    "#size-cells",
    "#xen,static-mem-address-cells",
    "#xen,static-mem-size-cells",
    "memory",
    "cpus",
    "vpl011",
    "direct-map",
    "xen,static-mem",
    "domain-cpupool",
];

/// Every domain: dom0 first, if there is one.
pub(super) fn read_all(
    source: &mut Source<'_>,
    arguments: &BootArguments,
) -> Result<Vec<Domain>, ImportError> {
    let mut names = Vec::new();
    let mut domains = Vec::new();
    let generic = ["multiboot,module", "xen,multiboot-module"];
    let chosen = source.chosen;
    if !source.children(chosen, &KERNEL).is_empty() || !source.children(chosen, &generic).is_empty()
    {
        names.push("dom0".to_owned());
        domains.push(dom0(source, arguments)?);
    }
    for node in source.children(source.chosen, &["xen,domain"]) {
        let name = text::name(source.tree.base_name(node), &names);
        names.push(name.clone());
        domains.push(domain(source, node, name)?);
    }
    Ok(domains)
}

fn dom0(source: &mut Source<'_>, arguments: &BootArguments) -> Result<Domain, ImportError> {
    let (tree, node) = (source.tree, source.chosen);
    let first = source.notes.len();
    source.note(
        node,
        "dom0",
        "there is no control domain here: it becomes a partition like the others. Give it the devices that it uses with `devices`",
    );
    let memory = arguments.dom0_memory.unwrap_or_else(|| {
        source.note(
            node,
            "`dom0_mem` is missing",
            "say how much memory it needs; Xen's default is 512MiB",
        );
        DOM0_MEMORY
    });
    let vcpus = arguments.dom0_vcpus.unwrap_or_else(|| {
        source.note(
            node,
            "`dom0_max_vcpus` is missing",
            "say how many virtual CPUs it needs; Xen would give it one for each CPU",
        );
        1
    });
    let modules = modules(source, node, "dom0")?;
    let cmdline = tree.string(node, "xen,dom0-bootargs").map(str::to_owned);
    Ok(Domain {
        node,
        name: "dom0".to_owned(),
        memory: vec![Memory {
            size: whole_pages(memory),
            address: None,
            identity: false,
        }],
        vcpus: vcpus.max(1),
        affinity: Vec::new(),
        console: true,
        kernel: modules.kernel,
        ramdisk: modules.ramdisk,
        cmdline: cmdline.or(modules.cmdline),
        devices: Devices::default(),
        remarks: remarks(source, first),
    })
}

fn domain(source: &mut Source<'_>, node: NodeId, name: String) -> Result<Domain, ImportError> {
    let tree = source.tree;
    let first = source.notes.len();
    if name != tree.name(node) {
        let found = format!("its name {} is no name here", tree.name(node));
        source.note(
            node,
            found,
            format!("it is called {name}; call it what it does"),
        );
    }
    let memory = memory(source, node)?;
    let vcpus = match tree.cell(node, "cpus")? {
        Some(vcpus) if vcpus > 0 => vcpus,
        _ => {
            source.note(node, "`cpus` is missing or zero", "it gets one virtual CPU");
            1
        }
    };
    let affinity = affinity(source, node, vcpus)?;
    let modules = modules(source, node, &name)?;
    let devices = devices::read(source, node)?;
    for property in tree.properties(node) {
        let known = WITHOUT_COUNTERPART
            .iter()
            .find(|(name, _)| *name == property.name);
        match known {
            Some((name, advice)) => source.note(node, format!("`{name}`"), *advice),
            None if TAKEN.contains(&property.name.as_str()) => {}
            None => source.note(
                node,
                format!("`{}` is not known", property.name),
                "see in Xen's documentation what it does and whether you need it",
            ),
        }
    }
    Ok(Domain {
        node,
        name,
        memory,
        vcpus,
        affinity,
        console: tree.has(node, "vpl011"),
        kernel: modules.kernel,
        ramdisk: modules.ramdisk,
        cmdline: modules.cmdline,
        devices,
        remarks: remarks(source, first),
    })
}

/// What was noted since `first`, as lines for a comment.
fn remarks(source: &Source<'_>, first: usize) -> Vec<String> {
    let notes = source.notes.get(first..).unwrap_or_default();
    notes
        .iter()
        .map(|note| format!("{}: {}", note.found, note.advice))
        .collect()
}

/// `xen,static-mem`, or else `memory`, which is a 64-bit number of KiB.
fn memory(source: &mut Source<'_>, node: NodeId) -> Result<Vec<Memory>, TreeError> {
    let tree = source.tree;
    let identity = tree.has(node, "direct-map");
    let wanted = match tree.cells(node, "memory")?.as_deref() {
        Some([low]) => Some(u64::from(*low)),
        Some([high, low]) => Some(u64::from(*high) << 32 | u64::from(*low)),
        _ => None,
    };
    let wanted = wanted
        .and_then(|kib| kib.checked_mul(1024))
        .filter(|size| *size > 0);
    if !tree.has(node, "xen,static-mem") {
        let Some(size) = wanted else {
            source.note(
                node,
                "`memory` is missing, zero or too large",
                "say how much memory it needs",
            );
            return Ok(Vec::new());
        };
        return Ok(vec![Memory {
            size: whole_pages(size),
            address: None,
            identity,
        }]);
    }
    let parent = tree.parent(node).unwrap_or(node);
    let widths = match (
        tree.cell(node, "#xen,static-mem-address-cells")?,
        tree.cell(node, "#xen,static-mem-size-cells")?,
    ) {
        // Xen up to 4.16; later the parent's cells count.
        (Some(address @ 1..=2), Some(size @ 1..=2)) => [address as usize, size as usize],
        _ => source.widths(parent)?,
    };
    let numbers = source.numbers(node, "xen,static-mem", &widths)?;
    let regions: Vec<Memory> = numbers
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[address, size]| Memory {
            size: *size,
            address: Some(*address),
            identity,
        })
        .collect();
    let sum = regions
        .iter()
        .try_fold(0u64, |sum, region| sum.checked_add(region.size));
    if wanted.is_some() && sum != wanted {
        let found = "`memory` is not the sum of `xen,static-mem`";
        source.note(
            node,
            found,
            "the static regions are taken over; see that they suffice",
        );
    }
    Ok(regions)
}

fn whole_pages(size: u64) -> u64 {
    size.checked_next_multiple_of(PAGE).unwrap_or(size)
}

/// `xen,vcpu` nodes: the CPUs on which a virtual CPU may run.
fn affinity(
    source: &mut Source<'_>,
    domain: NodeId,
    vcpus: u32,
) -> Result<Vec<(u32, Vec<usize>)>, TreeError> {
    let count = source.cpus().len();
    let mut found = Vec::new();
    for node in source.children(domain, &["xen,vcpu", "xen,vcpu-affinity"]) {
        let Some(list) = source.tree.string(node, "hard-affinity") else {
            continue;
        };
        let id = source.tree.cell(node, "id")?;
        match (id.filter(|id| *id < vcpus), cpu_list(list, count)) {
            (Some(id), Some(cpus)) => found.push((id, cpus)),
            _ => source.note(
                node,
                "a virtual CPU or CPU that does not exist",
                "say where its virtual CPUs run with `vcpus = [{ affinity = [0] }]`",
            ),
        }
    }
    Ok(found)
}

/// Reads `0-3,5`: CPUs below `count`.
fn cpu_list(text: &str, count: usize) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let [first, last] = [first, last].map(|text| text.trim().parse::<usize>().ok());
        let (first, last) = (first?, last?);
        if first > last || last >= count {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

#[derive(Default)]
struct Modules {
    kernel: Option<String>,
    ramdisk: Option<String>,
    cmdline: Option<String>,
}

fn modules(source: &mut Source<'_>, domain: NodeId, name: &str) -> Result<Modules, TreeError> {
    let mut modules = Modules::default();
    let all = source.children(
        domain,
        &[
            "multiboot,module",
            "xen,multiboot-module",
            KERNEL[0],
            KERNEL[1],
            RAMDISK[0],
            RAMDISK[1],
        ],
    );
    for node in all {
        let tree = source.tree;
        let is_kernel = tree.is_compatible(node, &KERNEL);
        let is_ramdisk = tree.is_compatible(node, &RAMDISK);
        let special = tree
            .strings(node, "compatible")
            .iter()
            .any(|name| !name.ends_with("multiboot,module") && !name.ends_with("multiboot-module"));
        if is_kernel || (!special && modules.kernel.is_none()) {
            modules.kernel = Some(file(source, node, name, "kernel")?);
            modules.cmdline = tree.string(node, "bootargs").map(str::to_owned);
        } else if is_ramdisk || (!special && modules.ramdisk.is_none()) {
            modules.ramdisk = Some(file(source, node, name, "ramdisk")?);
        } else if !tree.is_compatible(node, &[devices::MODULE]) {
            source.note(
                node,
                "a module that is no kernel, ramdisk or device tree",
                "nothing is loaded for it: see whether you need it",
            );
        }
    }
    if modules.kernel.is_none() {
        source.note(
            domain,
            "no kernel",
            "give the guest's image with `image = \"path\"`",
        );
    }
    Ok(modules)
}

/// The path of a module's file: given, named by UEFI, or a placeholder.
fn file(
    source: &mut Source<'_>,
    node: NodeId,
    domain: &str,
    what: &str,
) -> Result<String, TreeError> {
    let address = source.module_address(node)?;
    let given = address.and_then(|address| {
        let mut modules = source.options.modules.iter();
        modules.find(|module| module.address == address)
    });
    if let Some(module) = given {
        return Ok(module.path.clone());
    }
    if let Some(binary) = source.tree.string(node, "xen,uefi-binary") {
        return Ok(binary.to_owned());
    }
    let placeholder = format!("{domain}-{what}");
    let place = address.map_or(String::new(), |address| format!(" at {address:#x}"));
    source.note(
        node,
        format!("the {what} that the boot loader puts{place} has no file name"),
        format!("put it beside the system file as {placeholder}, or change the path there"),
    );
    Ok(placeholder)
}

#[cfg(test)]
mod tests {
    use super::cpu_list;

    #[test]
    fn cpu_lists_have_ranges_and_bounds() {
        assert_eq!(cpu_list("1,4-6", 8), Some(vec![1, 4, 5, 6]));
        assert_eq!(cpu_list("0", 1), Some(vec![0]));
        assert_eq!(cpu_list("0-4294967295", 8), None);
        assert_eq!(cpu_list("3-1", 8), None);
        assert_eq!(cpu_list("", 8), None);
        assert_eq!(cpu_list("a", 8), None);
    }
}
