//! The text of the system file.

use std::fmt::Write as _;

use super::Source;
use super::boot_arguments::BootArguments;
use super::channels::Channel;
use super::domain::{Domain, Memory};
use super::pools::{Pool, Share};
use crate::toml_text::{address, comment, numbers, quoted, size};

/// The alignment that memory has by itself.
const BLOCK: u64 = 2 << 20;

pub(super) fn system(
    source: &Source<'_>,
    board: &str,
    arguments: &BootArguments,
    domains: &[Domain],
    pools: &[Pool],
    channels: &[Channel],
) -> String {
    let mut out = comment(
        "Imported from a Xen dom0less configuration. Read every comment, then `cargo xtask check` this file.",
    );
    // What is said above a partition is not said here again.
    let said: Vec<&String> = domains.iter().flat_map(|domain| &domain.remarks).collect();
    for note in &source.notes {
        if !said.contains(&&format!("{}: {}", note.found, note.advice)) {
            out += &comment(&note.to_string());
        }
    }
    let _ = write!(
        out,
        "\n[system]\nname = \"imported\"\nboard = {}\n",
        quoted(board)
    );
    if let Some(console) = &arguments.console {
        let _ = write!(out, "\n[hypervisor]\nconsole = {}\n", quoted(console));
    }
    for pool in pools {
        let policy = pool.shared.map_or("dedicated", |_| "rtds");
        let (name, cpus) = (&pool.name, numbers(&pool.cpus));
        let _ = write!(
            out,
            "\n[pools.{name}]\ncpus = {cpus}\npolicy = \"{policy}\"\n"
        );
    }
    for (index, domain) in domains.iter().enumerate() {
        let pool = pools.iter().find(|pool| pool.domains.contains(&index));
        partition(&mut out, domain, pool);
    }
    for channel in channels {
        write_channel(&mut out, channel, domains);
    }
    out
}

fn partition(out: &mut String, domain: &Domain, pool: Option<&Pool>) {
    out.push('\n');
    for remark in &domain.remarks {
        *out += &comment(remark);
    }
    let _ = write!(out, "[[partition]]\nname = {}\n", quoted(&domain.name));
    if let Some(pool) = pool {
        let _ = writeln!(out, "pool = {}", quoted(&pool.name));
        vcpus(out, domain, pool);
        if let Some(Share { period, budget }) = pool.shared {
            let _ = write!(out, "period = \"{period}us\"\nbudget = \"{budget}us\"\n");
        }
    }
    if !domain.memory.is_empty() {
        let _ = writeln!(out, "memory = {}", memory(domain));
    }
    if let Some(kernel) = &domain.kernel {
        let _ = write!(out, "image = {{ kernel = {}", quoted(kernel));
        if let Some(ramdisk) = &domain.ramdisk {
            let _ = write!(out, ", initrd = {}", quoted(ramdisk));
        }
        if let Some(cmdline) = &domain.cmdline {
            let _ = write!(out, ", cmdline = {}", quoted(cmdline));
        }
        *out += " }\n";
    }
    if domain.console {
        *out += "console = \"virtual\"\n";
    }
    if !domain.devices.paths.is_empty() {
        let paths: Vec<String> = domain
            .devices
            .paths
            .iter()
            .map(|path| quoted(path))
            .collect();
        let _ = writeln!(out, "devices = [{}]", paths.join(", "));
    }
    if domain.devices.trusted {
        *out += "dma = \"trusted\"\n";
    }
}

/// The number of virtual CPUs, or a table for each when the configuration says where they run.
fn vcpus(out: &mut String, domain: &Domain, pool: &Pool) {
    if domain.affinity.is_empty() {
        let _ = writeln!(out, "vcpus = {}", domain.vcpus);
        return;
    }
    let one = |vcpu: u32| {
        let listed = domain.affinity.iter().find(|(id, _)| *id == vcpu);
        // A CPU of another pool would not be served by this one.
        let cpus = listed.map(|(_, cpus)| {
            let inside = cpus.iter().filter(|cpu| pool.cpus.contains(cpu));
            inside.copied().collect::<Vec<usize>>()
        });
        match cpus.filter(|cpus| !cpus.is_empty()) {
            Some(cpus) => format!("{{ affinity = {} }}", numbers(&cpus)),
            None => "{}".to_owned(),
        }
    };
    // An affinity exists only for virtual CPUs that do; Xen itself has at most 128 on Arm.
    let tables: Vec<String> = (0..domain.vcpus.min(128)).map(one).collect();
    let _ = writeln!(out, "vcpus = [{}]", tables.join(", "));
}

fn memory(domain: &Domain) -> String {
    // DMA that no IOMMU translates needs memory that is seen where it lies.
    let identity = domain.devices.trusted;
    match domain.memory.as_slice() {
        [only] if only.address.is_none() && !only.identity && !identity => size(only.size),
        regions => {
            let regions = regions
                .iter()
                .map(|one| region(one, one.identity || identity));
            format!("[{}]", regions.collect::<Vec<_>>().join(", "))
        }
    }
}

fn region(region: &Memory, identity: bool) -> String {
    let mut text = format!("{{ size = {}", size(region.size));
    if let Some(base) = region.address {
        let _ = write!(text, ", address = {}", address(base));
        if !base.is_multiple_of(BLOCK) {
            text += ", align = \"4KiB\"";
        }
    }
    if identity {
        text += ", identity = true";
    }
    text + " }"
}

fn write_channel(out: &mut String, channel: &Channel, domains: &[Domain]) {
    let _ = write!(
        out,
        "\n[[channel]]\nname = {}\nsize = {}\n",
        quoted(&channel.name),
        size(channel.size)
    );
    if let Some(base) = channel.address {
        let _ = writeln!(out, "address = {}", address(base));
    }
    let ends = channel.ends.iter().filter_map(|end| {
        let partition = &domains.get(end.domain)?.name;
        let doorbell = if end.doorbell {
            ", doorbell = true"
        } else {
            ""
        };
        let (partition, at) = (quoted(partition), address(end.at));
        Some(format!(
            "    {{ partition = {partition}, at = {at}{doorbell} }},\n"
        ))
    });
    let _ = writeln!(out, "ends = [\n{}]", ends.collect::<String>());
}
