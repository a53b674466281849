//! Lists of a `board.toml`: RAM, memory that firmware keeps, and what IOMMUs can hold.

use model::IntId;

use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::raw::reader::{Slot, TableReader, Value, each, table_of};
use crate::raw::schema::{IOMMU, MEMORY_BANK, RESERVED, V2M};
use crate::raw::values::{address, number, size, string};

/// RAM that the device tree does not describe, because firmware fills it in on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBank {
    /// Physical address.
    pub base: u64,
    /// Bytes, at least 1; the end is an address too.
    pub size: u64,
}

/// Memory that firmware keeps and the device tree does not reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Physical address.
    pub base: u64,
    /// Bytes, at least 1; the end is an address too.
    pub size: u64,
    /// Who keeps it, for findings and reports.
    pub owner: String,
}

/// What an IOMMU can hold. Its registers say it at run time; a device tree does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IommuLimits {
    /// Label, alias or path in the device tree.
    pub node: String,
    /// Stream match registers of an SMMUv2 (SMMU_IDR0.NUMSMRG).
    pub stream_match_registers: Option<u32>,
    /// Context banks of an SMMUv2 (SMMU_IDR1.NUMCB), or contexts of an IPMMU.
    pub contexts: Option<u32>,
    /// Width of a stream number (SMMU_IDR1.SIDSIZE of an SMMUv3, SMMU_IDR0.NUMSIDB of an SMMUv2).
    pub stream_bits: Option<u32>,
}

/// Which SPIs a GICv2m frame raises. Its registers say it at run time; the device tree need not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V2mFrame {
    /// Label, alias or path in the device tree.
    pub node: String,
    /// INTID of the first one: 32 to 1019.
    pub first: u32,
    /// How many, at least 1; the last one is an SPI, too.
    pub count: u32,
}

type Read<T> = fn(&SourceText, Slot, &Value<'_>, &mut Diagnostics) -> Option<T>;

fn list<T>(
    source: &SourceText,
    given: Option<(Slot, &Value<'_>)>,
    findings: &mut Diagnostics,
    read: Read<T>,
) -> Vec<T> {
    let Some((slot, value)) = given else {
        return Vec::new();
    };
    let one =
        |slot, value: &Value<'_>, findings: &mut Diagnostics| read(source, slot, value, findings);
    each(source, slot, value, findings, one).unwrap_or_default()
}

/// Reads the banks of `[[memory]]`.
pub(crate) fn read_memory(
    source: &SourceText,
    given: Option<(Slot, &Value<'_>)>,
    findings: &mut Diagnostics,
) -> Vec<MemoryBank> {
    list(source, given, findings, |source, slot, value, findings| {
        let table = table_of(source, slot, value, findings)?;
        let reader = TableReader::new(source, "`[[memory]]`", &MEMORY_BANK, table, value.span());
        let (base, size) = range(source, reader, findings, |_, _| Some(()))?.0;
        Some(MemoryBank { base, size })
    })
}

pub(super) fn read_reserved(
    source: &SourceText,
    given: Option<(Slot, &Value<'_>)>,
    findings: &mut Diagnostics,
) -> Vec<Reserved> {
    list(source, given, findings, |source, slot, value, findings| {
        let table = table_of(source, slot, value, findings)?;
        let reader = TableReader::new(source, "`[[reserved]]`", &RESERVED, table, value.span());
        let ((base, size), owner) = range(source, reader, findings, |reader, findings| {
            Some(reader.required("owner", string, findings)?.into_inner())
        })?;
        Some(Reserved { base, size, owner })
    })
}

/// Reads `base` and `size` and, by `more`, what else the table has.
fn range<T>(
    source: &SourceText,
    mut reader: TableReader<'_>,
    findings: &mut Diagnostics,
    more: fn(&mut TableReader<'_>, &mut Diagnostics) -> Option<T>,
) -> Option<((u64, u64), T)> {
    let base = reader.required("base", address, findings);
    let bytes = reader.required("size", size, findings);
    let more = more(&mut reader, findings);
    reader.finish(findings);
    let (base, bytes) = (base?, bytes?.into_inner());
    if base.get_ref().checked_add(bytes).is_none() {
        findings.push(
            Diagnostic::error(codes::OUT_OF_RANGE, "the memory ends beyond 64 bits")
                .at(source, base.span())
                .help("correct `base` or `size`"),
        );
        return None;
    }
    Some(((base.into_inner(), bytes), more?))
}

pub(super) fn read_iommus(
    source: &SourceText,
    given: Option<(Slot, &Value<'_>)>,
    findings: &mut Diagnostics,
) -> Vec<IommuLimits> {
    list(source, given, findings, |source, slot, value, findings| {
        let table = table_of(source, slot, value, findings)?;
        let mut reader = TableReader::new(source, "`[[iommu]]`", &IOMMU, table, value.span());
        let node = reader.required("node", string, findings);
        let mut limit = |name| {
            let found = reader.optional(name, number, findings);
            found.map(toml::Spanned::into_inner)
        };
        let (stream_match_registers, contexts, stream_bits) = (
            limit("stream_match_registers"),
            limit("contexts"),
            limit("stream_bits"),
        );
        reader.finish(findings);
        Some(IommuLimits {
            node: node?.into_inner(),
            stream_match_registers,
            contexts,
            stream_bits,
        })
    })
}

pub(super) fn read_v2m(
    source: &SourceText,
    given: Option<(Slot, &Value<'_>)>,
    findings: &mut Diagnostics,
) -> Vec<V2mFrame> {
    list(source, given, findings, |source, slot, value, findings| {
        let table = table_of(source, slot, value, findings)?;
        let mut reader = TableReader::new(source, "`[[v2m]]`", &V2M, table, value.span());
        let node = reader.required("node", string, findings);
        let first = reader.required("first", number, findings);
        let count = reader.required("count", number, findings);
        reader.finish(findings);
        let (node, first, count) = (node?, first?, count?.into_inner());
        if count > IntId::END_SPI.saturating_sub(*first.get_ref()) {
            findings.push(
                Diagnostic::error(codes::OUT_OF_RANGE, "the frame's last interrupt is no SPI")
                    .at(source, first.span())
                    .found(format!("{count} from {}", first.get_ref()))
                    .expected(format!("none beyond {}", IntId::END_SPI - 1))
                    .help("correct `first` or `count`"),
            );
            return None;
        }
        Some(V2mFrame {
            node: node.into_inner(),
            first: first.into_inner(),
            count,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{BoardToml, read_board_toml};
    use crate::diagnostics::Diagnostics;
    use crate::testing::board_toml;

    fn read(more: &str) -> Result<BoardToml, Diagnostics> {
        read_board_toml(
            &format!("{}{more}", board_toml("b")),
            Path::new("board.toml"),
        )
    }

    #[test]
    fn memory_and_iommus_are_read() {
        let board = read(
            "[[memory]]\nbase = \"0x0\"\nsize = \"2GiB\"\n[[memory]]\nbase = \"0x800000000\"\nsize = \"2GiB\"\n\
             [[iommu]]\nnode = \"smmu\"\nstream_match_registers = 48\ncontexts = 16\n",
        )
        .unwrap();
        assert_eq!(
            (board.memory.len(), board.memory[1].base),
            (2, 0x8_0000_0000)
        );
        let iommu = &board.iommus[0];
        assert_eq!(
            (iommu.stream_match_registers, iommu.stream_bits),
            (Some(48), None)
        );
    }

    #[test]
    fn memory_of_no_size_or_beyond_64_bits_is_refused() {
        for (size, code) in [("0MiB", "BH0106"), ("1MiB", "BH0108")] {
            let text = format!("[[memory]]\nbase = \"0xffffffffffffff00\"\nsize = \"{size}\"\n");
            let findings = read(&text).unwrap_err();
            let codes: Vec<_> = findings.iter().map(|one| one.code.as_str()).collect();
            assert_eq!(codes, [code]);
        }
    }

    #[test]
    fn misspelt_limit_of_an_iommu_is_refused() {
        let findings = read("[[iommu]]\nnode = \"smmu\"\ncontext_banks = 16\n").unwrap_err();
        assert!(findings.to_string().contains("context_banks"));
    }
}
