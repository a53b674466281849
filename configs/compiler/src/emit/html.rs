//! The report as one HTML page that needs nothing else.

use std::fmt::Write as _;

use super::report::{PartitionEntry, Report};
use crate::range::human_size;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{border:1px solid #ccc;padding:.25rem .6rem;text-align:left}\
th{background:#f3f3f3}code{font-family:ui-monospace,monospace}.danger{color:#b00020;font-weight:bold}";

impl Report {
    /// The report as one self-contained HTML page.
    pub fn to_html(&self) -> String {
        let mut out = String::new();
        let title = format!("{} on {}", escape(&self.system), escape(&self.board));
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>"
        );
        let _ = write!(out, "<h1>{title}</h1>");
        let _ = write!(
            out,
            "<p>{} partitions; payload {}; {}-bit address spaces; {} pages of stage-2 tables; console: {}.</p>",
            self.partitions.len(),
            human_size(self.payload_size),
            self.ipa_bits,
            self.stage2_pages,
            escape(&self.console)
        );
        out.push_str("<h2>Physical memory</h2>");
        table(
            &mut out,
            &["from", "to", "size", "owner"],
            self.physical_memory(),
        );
        out.push_str("<h2>CPUs</h2>");
        table(&mut out, &["CPU", "pool", "runs"], self.cpus());
        for partition in &self.partitions {
            partition_section(&mut out, partition);
        }
        if !self.warnings.is_empty() {
            let _ = write!(
                out,
                "<h2>Warnings</h2><pre>{}</pre>",
                escape(&self.warnings.to_string())
            );
        }
        out.push_str("</html>\n");
        out
    }

    /// Who owns which physical memory, by address.
    fn physical_memory(&self) -> Vec<Vec<String>> {
        let mut owners = vec![(
            self.image.base,
            self.image.size,
            "hypervisor image and payload".to_owned(),
        )];
        owners.extend(
            self.reserved
                .iter()
                .map(|range| (range.base, range.size, format!("firmware: {}", range.name))),
        );
        for partition in &self.partitions {
            let memory = partition
                .mappings
                .iter()
                .filter(|mapping| mapping.kind == "memory");
            owners.extend(memory.map(|mapping| {
                (
                    mapping.pa,
                    mapping.size,
                    format!("partition {}", partition.name),
                )
            }));
        }
        owners.sort();
        let row = |(base, size, owner): (u64, u64, String)| {
            vec![hex(base), hex(base + size), human_size(size), owner]
        };
        owners.into_iter().map(row).collect()
    }

    /// What each CPU runs.
    fn cpus(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<(usize, String, String)> = Vec::new();
        for partition in &self.partitions {
            for (index, vcpu) in partition.vcpus.iter().enumerate() {
                rows.push((
                    vcpu.cpu,
                    partition.pool.clone(),
                    format!("{} vCPU {index}", partition.name),
                ));
            }
        }
        rows.extend(
            self.parked_cpus
                .iter()
                .map(|cpu| (*cpu, String::new(), "parked".to_owned())),
        );
        rows.sort();
        rows.into_iter()
            .map(|(cpu, pool, runs)| vec![cpu.to_string(), pool, runs])
            .collect()
    }
}

fn partition_section(out: &mut String, partition: &PartitionEntry) {
    let _ = write!(out, "<h2>Partition {}</h2>", escape(&partition.name));
    let _ = write!(
        out,
        "<p>VMID {}; image <code>{}</code>, entry <code>{:#x}</code>; console {}; on fault: {}; firmware calls: {}.</p>",
        partition.vmid,
        escape(&partition.image),
        partition.entry,
        partition.console,
        partition.on_fault,
        if partition.firmware_calls {
            "allowed"
        } else {
            "none"
        }
    );
    if partition.dma_trusted {
        out.push_str("<p class=\"danger\">DMA is trusted: devices of this partition can reach all memory.</p>");
    }
    let mappings = partition.mappings.iter().map(|mapping| {
        vec![
            hex(mapping.ipa),
            hex(mapping.pa),
            human_size(mapping.size),
            mapping.kind.clone(),
        ]
    });
    table(out, &["IPA", "PA", "size", "what"], mappings.collect());
    let segments = partition.segments.iter().map(|segment| {
        vec![
            segment.name.clone(),
            hex(segment.ipa),
            segment.size.to_string(),
            segment.zeros.to_string(),
        ]
    });
    table(
        out,
        &["loaded", "IPA", "bytes", "zeros"],
        segments.collect(),
    );
    if !partition.devices.is_empty() {
        let devices = partition.devices.iter().map(|device| {
            let registers: Vec<String> = device
                .registers
                .iter()
                .map(|range| hex(range.base))
                .collect();
            let dma = if device.dma_unconfined {
                "not confined"
            } else {
                "none"
            };
            vec![device.path.clone(), registers.join(", "), dma.to_owned()]
        });
        table(out, &["device", "registers", "DMA"], devices.collect());
        let interrupts = partition
            .interrupts
            .iter()
            .map(|one| vec![one.intid.to_string(), one.trigger.clone()]);
        table(out, &["INTID", "trigger"], interrupts.collect());
    }
}

fn table(out: &mut String, heads: &[&str], rows: Vec<Vec<String>>) {
    out.push_str("<table><tr>");
    for head in heads {
        let _ = write!(out, "<th>{head}</th>");
    }
    out.push_str("</tr>");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{}</td>", escape(&cell));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_escaped() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }
}
