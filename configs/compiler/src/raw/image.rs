//! `image`: what is loaded into a partition at each start.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Slot, TableReader, Value, wrong_type};
use super::schema::{KERNEL, RAW_FILE};
use super::values::{address, string};
use crate::diagnostics::{Diagnostics, SourceText};

/// An image as it stands.
#[derive(Debug)]
pub(crate) enum RawImage {
    Kernel {
        kernel: Spanned<String>,
        initrd: Option<Spanned<String>>,
        cmdline: Option<String>,
        address: Option<Spanned<u64>>,
    },
    File {
        file: Spanned<String>,
        entry: Option<Spanned<u64>>,
        load: Option<Spanned<u64>>,
        address: Option<Spanned<u64>>,
    },
}

impl RawImage {
    /// The source of the image itself, without an initrd.
    pub fn main(&self) -> &Spanned<String> {
        match self {
            Self::Kernel { kernel, .. } => kernel,
            Self::File { file, .. } => file,
        }
    }

    /// Where a boot loader puts it, if it is a file of its own.
    pub fn address(&self) -> Option<&Spanned<u64>> {
        match self {
            Self::Kernel { address, .. } | Self::File { address, .. } => address.as_ref(),
        }
    }
}

pub(super) fn read_image(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Option<RawImage> {
    let table = match value.get_ref() {
        DeValue::String(text) => {
            return Some(RawImage::File {
                file: Spanned::new(value.span(), text.to_string()),
                entry: None,
                load: None,
                address: None,
            });
        }
        DeValue::Table(table) => table,
        _ => {
            findings.push(wrong_type(source, slot, value));
            return None;
        }
    };
    let has = |key: &str| table.keys().any(|name| name.get_ref() == key);
    let schema = if has("file") { &RAW_FILE } else { &KERNEL };
    let mut reader = TableReader::new(source, "`image`", schema, table, value.span());
    let place = reader.optional("address", address, findings);
    let image = if has("file") {
        let file = reader.optional("file", string, findings);
        let entry = reader.optional("entry", address, findings);
        let load = reader.optional("load", address, findings);
        // A field that is wrong or misspelt is reported; without it the file would be taken for another kind.
        let lost = has("entry") != entry.is_some() || has("load") != load.is_some();
        let strange = table
            .keys()
            .any(|key| RAW_FILE.field(key.get_ref()).is_none());
        file.filter(|_| !lost && !strange)
            .map(|file| RawImage::File {
                file,
                entry,
                load,
                address: place,
            })
    } else {
        let kernel = reader.required("kernel", string, findings);
        let initrd = reader.optional("initrd", string, findings);
        let cmdline = reader
            .optional("cmdline", string, findings)
            .map(Spanned::into_inner);
        kernel.map(|kernel| RawImage::Kernel {
            kernel,
            initrd,
            cmdline,
            address: place,
        })
    };
    reader.finish(findings);
    image
}
