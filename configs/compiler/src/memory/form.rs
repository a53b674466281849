//! What a region or a channel says by itself: whole pages, a sensible alignment, addresses that go together.

use model::memory::PAGE;
use toml::Spanned;

use super::{ChannelMemory, Region};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::range::align_down;
use crate::raw::{RawChannel, RawMemory, RawPartition};

/// The regions of a partition, without places but for those that the file says. None when one is wrong by itself: the others would
/// move.
pub(super) fn regions(
    partition: &RawPartition,
    source: &SourceText,
    findings: &mut Diagnostics,
) -> Vec<Region> {
    let title = partition.title();
    // Each is looked at, so that each fault is found.
    let read = |raw: &RawMemory| region(raw, &title, source, findings);
    let regions: Vec<Option<Region>> = partition.memory.iter().map(read).collect();
    regions
        .into_iter()
        .collect::<Option<_>>()
        .unwrap_or_default()
}

fn region(
    raw: &RawMemory,
    title: &str,
    source: &SourceText,
    findings: &mut Diagnostics,
) -> Option<Region> {
    let before = findings.len();
    let what = format!("the memory of {title}");
    // In its short form the field is the size.
    let field = if raw.span == raw.size.span() {
        "memory"
    } else {
        "size"
    };
    whole_pages(&raw.size, field, &what, source, findings);
    if let Some(align) = &raw.align {
        alignment(align, &what, source, findings);
    }
    if let Some(at) = &raw.at {
        page_aligned(at, "at", &what, source, findings);
        if raw.identity {
            let message = format!("{what} has both `identity` and `at`");
            findings.push(
                Diagnostic::error(codes::IDENTITY_WITH_AT, message)
                    .at(source, at.span())
                    .help("leave `at` out: with `identity` the partition sees the memory where it lies; `address` says where that is"),
            );
        }
    }
    if let Some(address) = &raw.address {
        page_aligned(address, "address", &what, source, findings);
        let align = raw.align.as_ref().map(|align| *align.get_ref());
        let off = align
            .filter(|align| align.is_power_of_two() && !address.get_ref().is_multiple_of(*align));
        if let Some(align) = off.filter(|align| *align > PAGE) {
            let message = format!("{what} has an `address` that breaks its own `align`");
            findings.push(
                Diagnostic::error(codes::BAD_ALIGNMENT, message)
                    .at(source, address.span())
                    .found(format!("{:#x}", address.get_ref()))
                    .expected(format!("a multiple of {align:#x}"))
                    .help("correct one of them, or leave `align` out"),
            );
        }
    }
    let pa = raw.address.as_ref().map(|address| *address.get_ref());
    let at = raw.at.as_ref().map(|at| *at.get_ref());
    (findings.len() == before).then(|| Region {
        span: raw.span.clone(),
        size: *raw.size.get_ref(),
        ipa: if raw.identity { pa } else { at },
        pa,
        fixed: pa.is_some(),
        identity: raw.identity,
        align: raw.align.as_ref().map(|align| *align.get_ref()),
    })
}

/// The memory of a channel, if that is right by itself.
pub(super) fn channel(
    raw: &RawChannel,
    source: &SourceText,
    findings: &mut Diagnostics,
) -> Option<ChannelMemory> {
    let before = findings.len();
    let what = format!("the memory of {}", raw.title());
    let size = raw.size.as_ref()?;
    whole_pages(size, "size", &what, source, findings);
    if let Some(address) = &raw.address {
        page_aligned(address, "address", &what, source, findings);
    }
    for at in raw.ends().iter().filter_map(|end| end.at.as_ref()) {
        page_aligned(at, "at", &what, source, findings);
    }
    let at = |at: &Option<Spanned<u64>>| at.as_ref().map(|at| *at.get_ref());
    (findings.len() == before).then(|| ChannelMemory {
        span: raw.address.as_ref().map_or(size.span(), Spanned::span),
        size: *size.get_ref(),
        pa: at(&raw.address),
        fixed: raw.address.is_some(),
        ends: raw.ends().iter().map(|end| at(&end.at)).collect(),
        rings: rings(raw),
    })
}

/// For each end whether another one has a doorbell.
fn rings(raw: &RawChannel) -> Vec<bool> {
    let with_doorbell = raw.ends().iter().filter(|end| end.doorbell).count();
    let others = |own: bool| with_doorbell - usize::from(own);
    let ends = raw.ends().iter();
    ends.map(|end| others(end.doorbell) > 0).collect()
}

fn whole_pages(
    size: &Spanned<u64>,
    field: &str,
    what: &str,
    source: &SourceText,
    findings: &mut Diagnostics,
) {
    let bytes = *size.get_ref();
    if bytes.is_multiple_of(PAGE) {
        return;
    }
    let near = align_down(bytes, PAGE).saturating_add(PAGE);
    let finding = Diagnostic::error(
        codes::UNALIGNED_MEMORY,
        format!("{what} is no multiple of 4KiB"),
    );
    findings.push(
        finding
            .at(source, size.span())
            .found(format!("{bytes:#x} bytes"))
            .help(format!("round it up: `{field} = \"{near:#x}\"`")),
    );
}

/// Reports an address that is no multiple of a page.
pub(crate) fn page_aligned(
    address: &Spanned<u64>,
    field: &str,
    what: &str,
    source: &SourceText,
    findings: &mut Diagnostics,
) {
    let value = *address.get_ref();
    if value.is_multiple_of(PAGE) {
        return;
    }
    let finding = Diagnostic::error(
        codes::UNALIGNED_MEMORY,
        format!("{what} has an `{field}` that is no multiple of 4KiB"),
    );
    findings.push(
        finding
            .at(source, address.span())
            .found(format!("{value:#x}"))
            .help(format!(
                "write `{field} = \"{:#x}\"`",
                align_down(value, PAGE)
            )),
    );
}

fn alignment(align: &Spanned<u64>, what: &str, source: &SourceText, findings: &mut Diagnostics) {
    let value = *align.get_ref();
    if value.is_power_of_two() && value >= PAGE {
        return;
    }
    findings.push(
        Diagnostic::error(
            codes::BAD_ALIGNMENT,
            format!("{what} has an `align` that is no power of two of at least 4KiB"),
        )
        .at(source, align.span())
        .found(format!("{value:#x}"))
        .help("write a size like \"4KiB\", \"64KiB\", \"2MiB\" or \"1GiB\""),
    );
}
