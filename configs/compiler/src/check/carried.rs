//! Fields that are read but that no later step acts upon yet: refused, so that nothing is silently ignored.
//!
//! Whoever makes a field work takes its line out.

use std::ops::Range;

use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::{RawChannel, RawEnd, RawMemory, RawPartition};

/// Fields that are used, each with its place.
type Used = Vec<(Range<usize>, String)>;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let mut used = Used::new();
    for one in &context.system.partitions {
        partition(one, &mut used);
    }
    for one in &context.system.channels {
        channel(one, &mut used);
    }
    // What a partition says for all its virtual CPUs is one place.
    used.sort_by_key(|(span, _)| span.start);
    used.dedup();
    for (span, what) in used {
        findings.push(
            Diagnostic::error(codes::NOT_YET, format!("{what} has no effect yet"))
                .at(context.source, span)
                .help("leave it out in this version"),
        );
    }
}

fn add<T>(used: &mut Used, field: &Option<Spanned<T>>, what: &'static str) {
    used.extend(
        field
            .as_ref()
            .map(|value| (value.span(), format!("`{what}`"))),
    );
}

fn partition(partition: &RawPartition, used: &mut Used) {
    for (index, region) in partition.memory.iter().enumerate() {
        let RawMemory {
            span,
            size: _,
            at,
            address,
            align,
            identity,
        } = region;
        add(used, at, "at");
        add(used, address, "address");
        add(used, align, "align");
        if *identity || index > 0 {
            used.push((span.clone(), "`memory` in this form".to_owned()));
        }
    }
    for interrupt in &partition.interrupts {
        let what = format!("SPI {} ({:?})", interrupt.spi.get_ref(), interrupt.trigger);
        used.push((interrupt.span.clone(), what));
    }
}

fn channel(channel: &RawChannel, used: &mut Used) {
    used.push((channel.span.clone(), channel.title()));
    add(used, &channel.size, "size");
    add(used, &channel.address, "address");
    for end in channel.ends() {
        let RawEnd {
            span,
            partition,
            access,
            at,
            doorbell,
        } = end;
        let bell = if *doorbell { " with a doorbell" } else { "" };
        let what = format!("the {access:?} end of `{}`{bell}", partition.get_ref());
        used.push((span.clone(), what));
        add(used, at, "at");
    }
}
