//! Each image fits the memory of its partition.

use super::Context;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::layout::lay_out;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for (index, (partition, resolved)) in context.partitions().enumerate() {
        let (Some(image), Some(raw), Some(memory)) = (
            &resolved.image,
            &partition.image,
            context.memory.first(index),
        ) else {
            continue;
        };
        if let Err(error) = lay_out(&image.image, image.initrd.as_ref(), memory) {
            findings.push(
                Diagnostic::error(
                    error.code(),
                    format!("{} cannot hold its image: {error}", partition.title()),
                )
                .at(context.source, raw.get_ref().main().span())
                .note(format!("the partition sees its memory at {memory}"))
                .help(error.help()),
            );
        }
    }
}
