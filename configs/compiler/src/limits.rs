//! What the image of this version cannot do yet, although the system file can say it: the one place where that stands.
//!
//! `check`, `report` and guest trees answer for the system as it is written, so each limit is a warning to them. An image would not do
//! what the file says, so to `build` and `run` each is an error. Whoever teaches the image takes the line out of the table.

use std::ops::Range;

use toml::Spanned;

use crate::board::{Device, Dma};
use crate::check::Context;
use crate::codes::{self, Code};
use crate::devicetree::streams::Stream;
use crate::diagnostics::{Diagnostic, Diagnostics, Severity};
use crate::eemi;
use crate::iommus;
use crate::raw::hypervisor::LogLevel;
use crate::raw::rights::PsciRight;
use crate::raw::{FirmwareCalls, RawHypervisorConsole, RawPartition};
use crate::resolve::Resolved;

/// Where the file asks for it, and what it asks for: "… cannot" comes before it.
type Uses = Vec<(Range<usize>, String)>;

/// Something that the image cannot do.
struct Limit {
    code: Code,
    /// Finds where the system asks for it.
    find: fn(&Context<'_>, &mut Uses),
    /// What can be done.
    help: &'static str,
}

const LIMITS: &[Limit] = &[
    Limit {
        code: codes::LIMIT_PSCI,
        find: psci,
        help: "leave `psci` out for an image: all rights are granted",
    },
    Limit {
        code: codes::LIMIT_MEDIATION,
        find: mediation,
        help: "write `firmware_calls = false` for an image, or `true`; where it is about pins, leave `pinctrl` out of the device: they stay as firmware set them",
    },
    Limit {
        code: codes::LIMIT_LOG,
        find: logs,
        help: "leave it out for an image",
    },
    Limit {
        code: codes::LIMIT_IOMMU,
        find: undriven,
        help: "leave the device out for an image",
    },
    Limit {
        code: codes::LIMIT_CONSOLE,
        find: consoles,
        help: "name another serial port of the board in `[hypervisor] console` for an image, if it has one that the image drives: docs/boards.md lists them",
    },
];

/// Reports every use of what the image cannot do.
pub(crate) fn check(context: &Context<'_>, severity: Severity, findings: &mut Diagnostics) {
    for limit in LIMITS {
        let mut uses = Uses::new();
        (limit.find)(context, &mut uses);
        for (span, what) in uses {
            let message = format!("the image of this version cannot {what}");
            let finding = Diagnostic {
                severity,
                ..Diagnostic::error(limit.code, message)
            };
            findings.push(finding.at(context.source, span).help(limit.help));
        }
    }
}

/// A device behind an IOMMU reaches nothing, or everything, when the image does not drive the IOMMU.
fn undriven(context: &Context<'_>, uses: &mut Uses) {
    let Some(board) = context.board else { return };
    for resolved in context.resolved {
        for (span, device) in &resolved.devices {
            if board.dma(device) != Dma::Confined {
                continue;
            }
            let confinable = |stream: &Stream| {
                let iommu = board.iommu(stream.iommu);
                iommu.is_some_and(|one| iommus::confinable(one, stream.ids))
            };
            let obstacle = |stream: &Stream| iommus::drives(board, stream).err();
            let what = if let Some(why) = device.streams.iter().find_map(obstacle) {
                let colon = if why.is_empty() { "" } else { ": " };
                format!("drive the IOMMU that confines {}{colon}{why}", device.path)
            } else if !device.streams.iter().all(confinable) {
                format!("confine streams as wide as those of {}", device.path)
            } else if let Some(other) = entangled(resolved, device) {
                format!("tell the streams of {} from those of {other}", device.path)
            } else {
                continue;
            };
            uses.push((span.clone(), what));
        }
    }
}

/// A device of the same partition with whose streams those of `device` are entangled.
fn entangled<'a>(resolved: &'a Resolved, device: &Device) -> Option<&'a str> {
    let all = resolved.devices.iter().map(|(_, other)| other);
    let tangle = |one: &Stream, other: &Stream| {
        one.iommu == other.iommu && iommus::entangled(one.ids, other.ids)
    };
    let mut found = all.filter(|other| {
        let mut streams = other.streams.iter();
        streams.any(|one| device.streams.iter().any(|own| tangle(own, one)))
    });
    found.next().map(|other| other.path.as_str())
}

/// The image prints, and so needs a console with a driver and an interrupt.
fn consoles(context: &Context<'_>, uses: &mut Uses) {
    let Some(board) = context.board else { return };
    let chosen = context.system.hypervisor.console.as_ref();
    if let Some(chosen) = chosen.filter(|one| matches!(one.get_ref(), RawHypervisorConsole::None)) {
        uses.push((chosen.span(), "do without a console".to_owned()));
        return;
    }
    let path = board.tree.path(board.console.node);
    let what = match (board.console.kind.driver(), board.console.interrupt) {
        (Some(_), Some(_)) => return,
        (Some(_), None) => {
            format!("read the console {path}: it has no interrupt that can be used")
        }
        (None, _) => format!("drive the console {path}, {}", board.console.kind.name()),
    };
    let board = context.system.board.as_ref().map(Spanned::span);
    let span = chosen.map(Spanned::span).or(board).unwrap_or(0..0);
    uses.push((span, what));
}

/// One use for each partition of which `find` gives a place.
fn each_partition<'a>(
    context: &'a Context<'_>,
    uses: &mut Uses,
    what: &str,
    find: impl Fn(&'a RawPartition) -> Option<Range<usize>>,
) {
    for partition in &context.system.partitions {
        if let Some(span) = find(partition) {
            uses.push((span, format!("{what} {}", partition.title())));
        }
    }
}

fn psci(context: &Context<'_>, uses: &mut Uses) {
    const ALL: [PsciRight; 4] = [
        PsciRight::Cpus,
        PsciRight::Off,
        PsciRight::Reset,
        PsciRight::Suspend,
    ];
    each_partition(context, uses, "take PSCI rights from", |partition| {
        let rights = partition.psci.as_ref()?;
        let granted = |right| rights.get_ref().iter().any(|one| one.get_ref() == right);
        (!ALL.iter().all(granted)).then(|| rights.span())
    });
}

fn mediation(context: &Context<'_>, uses: &mut Uses) {
    let Some(board) = context.board else { return };
    for (partition, resolved) in context.partitions() {
        let calls = partition.firmware_calls.as_ref();
        let calls = calls.filter(|calls| *calls.get_ref() == FirmwareCalls::Mediated);
        let devices = resolved.devices.iter().map(|(_, device)| device);
        let found = calls.map(|_| eemi::owned(&board.tree, devices, &resolved.supply.needs));
        if let (Some(calls), Some(Err(why))) = (calls, found) {
            let what = format!("filter the firmware calls of {}: {why}", partition.title());
            uses.push((calls.span(), what));
        }
    }
}

fn logs(context: &Context<'_>, uses: &mut Uses) {
    let hypervisor = &context.system.hypervisor;
    let log = hypervisor.log.as_ref();
    if let Some(log) = log.filter(|log| *log.get_ref() != LogLevel::Info) {
        uses.push((log.span(), "change its log level".to_owned()));
    }
    if let Some(trace) = &hypervisor.trace {
        uses.push((trace.span(), "keep a trace buffer".to_owned()));
    }
}
