//! The chapters on interrupts, DMA streams and devices.

use super::super::facts::{DeviceEntry, FunctionEntry, ProviderEntry, Report};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::units::{address, size};
use super::nothing;
use super::table::{Cell, table};

/// Every physical interrupt with an owner.
pub(super) fn interrupts(out: &mut Markup, report: &Report) {
    if report.interrupts.is_empty() {
        return nothing(out, "No physical interrupt belongs to a partition.");
    }
    let owners = Owners::new(report);
    let rows: Vec<Vec<Cell>> = report
        .interrupts
        .iter()
        .map(|one| {
            vec![
                Cell::number(one.intid),
                Cell::text(match one.seen {
                    None => format!("{} {}", one.class, one.number),
                    Some(seen) => format!("{} {}; inside INTID {seen}", one.class, one.number),
                }),
                Cell::text(&one.trigger),
                Cell::code(&one.source),
                Cell::owner(&one.owner, &owners),
            ]
        })
        .collect();
    table(
        out,
        "Interrupts by number",
        &[
            "INTID",
            "in the device tree",
            "trigger",
            "raised by",
            "owner",
        ],
        &rows,
    );
    out.leaf(
        "p",
        &[("class", &"note")],
        "All other shared interrupts stay disabled: nobody has them.",
    );
}

/// Every DMA stream with an owner.
pub(super) fn streams(out: &mut Markup, report: &Report) {
    if report.streams.is_empty() {
        return nothing(out, "No device of this system sends through an IOMMU.");
    }
    let owners = Owners::new(report);
    let rows: Vec<Vec<Cell>> = report
        .streams
        .iter()
        .map(|one| {
            let ids = match (one.last - one.first.min(one.last), one.ignored) {
                (0, _) => format!("{:#x}", one.first),
                (_, 0) => format!("{:#x}–{:#x}", one.first, one.last),
                (_, ignored) => format!("{:#x}, any of the bits {ignored:#x}", one.first),
            };
            vec![
                Cell::code(&one.iommu),
                Cell::number(ids),
                Cell::code(&one.device),
                Cell::owner(&one.owner, &owners),
            ]
        })
        .collect();
    table(
        out,
        "Streams by IOMMU",
        &["IOMMU", "stream IDs", "device", "owner"],
        &rows,
    );
    out.leaf(
        "p",
        &[("class", &"note")],
        "A stream reaches its owner's memory and nothing else. Streams of nobody reach nothing.",
    );
}

/// Every device that is given away, with what it needs of others.
pub(super) fn ownership(out: &mut Markup, report: &Report) {
    let owners = Owners::new(report);
    let mut none = true;
    for partition in &report.partitions {
        if partition.devices.is_empty() {
            continue;
        }
        none = false;
        out.element("h3", &[], |out| {
            let class = owners.partition_class(&partition.name);
            out.leaf(
                "span",
                &[
                    ("class", &format_args!("patch {class}")),
                    ("aria-hidden", &"true"),
                ],
                "",
            );
            out.text(format_args!("Devices of {}", partition.name));
        });
        for one in &partition.devices {
            device(out, one);
        }
    }
    if none {
        nothing(
            out,
            "No device is given to a partition: all that partitions see are virtual ones.",
        );
    }
}

fn device(out: &mut Markup, device: &DeviceEntry) {
    out.element("article", &[("class", &"device")], |out| {
        out.element("h4", &[], |out| {
            out.text(&device.name);
            if device.path != device.name {
                out.text(" ");
                out.code(&device.path);
            }
        });
        let registers = device
            .registers
            .iter()
            .map(|one| format!("{} ({})", address(one.base), size(one.size)));
        let registers: Vec<String> = registers.collect();
        let mut line = vec![
            device.compatible.clone(),
            format!("registers at {}", registers.join(", ")),
        ];
        if !device.interrupts.is_empty() {
            let numbers: Vec<String> = device.interrupts.iter().map(u32::to_string).collect();
            line.push(format!("INTID {}", numbers.join(", ")));
        }
        if device.read_only {
            line.push("shared, read-only".to_owned());
        }
        out.leaf("p", &[], line.join(" · "));
        if let Some(function) = &device.function {
            out.leaf("p", &[], self::function(function));
        }
        if device.dma_unconfined {
            out.leaf("p", &[("class", &"danger")], "⚠ No IOMMU confines its DMA.");
        }
        if !device.providers.is_empty() {
            let rows: Vec<Vec<Cell>> = device.providers.iter().map(provider).collect();
            let caption = format!("What {} needs", device.name);
            table(
                out,
                &caption,
                &["property", "provider", "how it is met", "meaning"],
                &rows,
            );
        }
    });
}

/// What there is to say of a PCI function.
fn function(function: &FunctionEntry) -> String {
    let id = match function.id.as_str() {
        "" => "any (the boot prints which)",
        id => id,
    };
    let bars = function.bars.iter();
    let bars = bars.map(|one| format!("{} ({})", address(one.base), size(one.size)));
    let bars: Vec<String> = bars.collect();
    let mut line = vec![
        format!("PCI function {id}"),
        format!("at most {} messages", function.messages),
        format!("BARs at {}", bars.join(", ")),
    ];
    if !function.pin.is_empty() {
        line.push(format!("pin {}", function.pin));
    }
    line.push(match function.access_control {
        true => format!("isolation group {}, by access control", function.group),
        false => format!("isolation group {}", function.group),
    });
    line.join(" · ")
}

fn provider(provider: &ProviderEntry) -> Vec<Cell> {
    let words = provider.resolution.replace('-', " ");
    let met = match provider.resolution.as_str() {
        "missing" | "left-as-firmware-set-it" => Cell::Danger(words),
        _ => Cell::Text(words),
    };
    let property = match provider.consumer.as_str() {
        "" => provider.property.clone(),
        consumer => format!("{} of {consumer}", provider.property),
    };
    vec![
        Cell::code(property),
        Cell::code(&provider.provider),
        met,
        Cell::text(&provider.detail),
    ]
}
