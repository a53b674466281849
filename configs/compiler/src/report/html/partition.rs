//! A partition: its facts, its address space, what it starts with, its device tree.

use super::super::facts::{MappingKind, PartitionEntry};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::svg::partition_map;
use super::super::units::{address, count, ranges, size, time};
use super::table::{Cell, facts, table};

pub(super) fn section(
    out: &mut Markup,
    index: usize,
    partition: &PartitionEntry,
    owners: &Owners<'_>,
) {
    let id = format!("partition-{index}");
    out.element("section", &[("id", &id), ("class", &"partition")], |out| {
        out.element("h3", &[], |out| {
            let class = owners.partition_class(&partition.name);
            out.leaf("span", &[("class", &format_args!("patch {class}")), ("aria-hidden", &"true")], "");
            out.text(format_args!("Partition {}", partition.name));
        });
        if partition.dma_trusted {
            out.leaf("p", &[("class", &"danger")], "⚠ DMA is trusted: devices of this partition that no IOMMU confines can reach all memory.");
        }
        facts(out, &summary(partition));
        out.element("figure", &[], |out| partition_map(out, partition, owners));
        mappings(out, partition, owners);
        virtual_devices(out, partition);
        images(out, partition);
        tree(out, partition);
    });
}

fn summary(partition: &PartitionEntry) -> Vec<(&'static str, String)> {
    let vcpus = partition.vcpus.iter().enumerate();
    let vcpus: Vec<String> = vcpus
        .map(|(index, vcpu)| format!("{index} on {} ({})", ranges(&vcpu.cpus), vcpu.pool))
        .collect();
    let memory = partition
        .mappings
        .iter()
        .filter(|one| one.kind == MappingKind::Memory);
    let memory = size(memory.map(|one| one.size).fold(0, u64::saturating_add));
    let list = |items: &[String]| {
        if items.is_empty() {
            "none".to_owned()
        } else {
            items.join(", ")
        }
    };
    let mut facts = vec![
        ("Virtual CPUs", vcpus.join("; ")),
        ("Memory", memory),
        ("Devices", partition.devices.len().to_string()),
        ("Console", partition.console.clone()),
        ("Entry", address(partition.entry)),
        ("VMID", partition.vmid.to_string()),
        ("On a fault", partition.on_fault.clone()),
        ("PSCI rights", list(&partition.psci)),
        ("May control", list(&partition.may_control)),
        ("May watch", list(&partition.may_watch)),
        ("May read the console of", list(&partition.may_read_console)),
        ("Firmware calls", partition.firmware_calls.clone()),
        ("What they may change", list(&partition.firmware_resources)),
        (
            "Watchdog",
            partition.watchdog_ns.map_or("none".to_owned(), time),
        ),
        (
            "Starts",
            if partition.start.is_empty() {
                "at once".to_owned()
            } else {
                partition.start.clone()
            },
        ),
    ];
    if let Some(policy) = &partition.cpu_policy {
        facts.push(("CPU policy", policy.name.clone()));
        facts.push(("CPU features hidden", list(&policy.hidden)));
        facts.push(("MSRs denied with them", list(&policy.denied_msrs)));
    }
    if let Some(line) = &partition.command_line {
        facts.push(("Command line", line.clone()));
    }
    facts
}

fn mappings(out: &mut Markup, partition: &PartitionEntry, owners: &Owners<'_>) {
    let rows: Vec<Vec<Cell>> = partition
        .mappings
        .iter()
        .map(|one| {
            let kind = match one.kind {
                MappingKind::Memory => "memory",
                MappingKind::Channel => "channel",
                MappingKind::Registers => "registers",
                MappingKind::ReadOnlyRegisters => "registers, read-only",
                MappingKind::InterruptController => "interrupt controller",
            };
            vec![
                Cell::address(one.ipa),
                Cell::address(one.pa),
                Cell::size(one.size),
                Cell::Owner(
                    kind.to_owned(),
                    owners.mapping_class(&partition.name, one.kind),
                ),
                Cell::code(&one.what),
            ]
        })
        .collect();
    let caption = format!("Address space of {}: all else faults", partition.name);
    table(out, &caption, &["IPA", "PA", "size", "kind", "what"], &rows);
}

fn virtual_devices(out: &mut Markup, partition: &PartitionEntry) {
    if partition.virtual_devices.is_empty() {
        return;
    }
    let rows: Vec<Vec<Cell>> = partition
        .virtual_devices
        .iter()
        .map(|one| {
            vec![
                Cell::text(&one.name),
                Cell::address(one.ipa),
                Cell::size(one.size),
                Cell::text(one.intid.map_or("—".to_owned(), |intid| intid.to_string())),
            ]
        })
        .collect();
    let caption = format!("Virtual devices of {}", partition.name);
    table(
        out,
        &caption,
        &["virtual device", "IPA", "size", "INTID"],
        &rows,
    );
}

fn images(out: &mut Markup, partition: &PartitionEntry) {
    let rows: Vec<Vec<Cell>> = partition
        .images
        .iter()
        .map(|one| {
            vec![
                Cell::text(&one.role),
                Cell::code(&one.source),
                Cell::size(one.size),
                Cell::code(&one.sha256),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let caption = format!("Images of {}", partition.name);
        table(
            out,
            &caption,
            &["image", "source", "size", "SHA-256"],
            &rows,
        );
    }
    let rows: Vec<Vec<Cell>> = partition
        .segments
        .iter()
        .map(|one| {
            vec![
                Cell::text(&one.name),
                Cell::address(one.ipa),
                Cell::size(one.size),
                Cell::size(one.zeros),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let caption = format!(
            "What is copied into the memory of {} at each start",
            partition.name
        );
        table(
            out,
            &caption,
            &["loaded", "IPA", "bytes", "zeros behind"],
            &rows,
        );
    }
}

fn tree(out: &mut Markup, partition: &PartitionEntry) {
    let tree = &partition.tree;
    let lines = tree.source.lines().count();
    out.element("details", &[("class", &"tree")], |out| {
        let what = format!(
            "Device tree: {}.dtb, {}, {} of source",
            partition.name,
            size(tree.size),
            count(lines, "line")
        );
        out.leaf("summary", &[], what);
        if !tree.sha256.is_empty() {
            out.element("p", &[], |out| {
                out.text("SHA-256 ");
                out.code(&tree.sha256);
            });
        }
        out.element("pre", &[("class", &"source")], |out| {
            out.leaf("code", &[], &tree.source)
        });
    });
}
