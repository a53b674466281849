//! The system file.

use std::ops::Range;

use model::partition::FaultPolicy;
use model::system::EndState;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{TableReader, parse, wrong_type};
use super::values::{address, boolean, count, counts, one_of, size, string, strings};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::nearest::nearest;

/// A system file as it stands. A field is `None` when it is missing or was already reported as wrong.
#[derive(Debug)]
pub(crate) struct RawSystem {
    pub name: Option<Spanned<String>>,
    pub board: Option<Spanned<String>>,
    pub end: EndState,
    /// In the order of the file.
    pub pools: Vec<RawPool>,
    pub partitions: Vec<RawPartition>,
}

#[derive(Debug)]
pub(crate) struct RawPool {
    pub name: Spanned<String>,
    pub cpus: Option<Spanned<Vec<Spanned<u32>>>>,
}

#[derive(Debug)]
pub(crate) struct RawPartition {
    /// Its table's header.
    pub span: Range<usize>,
    pub name: Option<Spanned<String>>,
    pub pool: Option<Spanned<String>>,
    /// 1 when the field is missing; `None` when it is wrong.
    pub vcpus: Option<Spanned<u32>>,
    pub memory: Option<Spanned<u64>>,
    pub image: Option<Spanned<RawImage>>,
    pub console: Option<Spanned<RawConsole>>,
    pub devices: Vec<Spanned<String>>,
    pub dma_trusted: bool,
    pub on_fault: FaultPolicy,
    pub firmware_calls: bool,
}

impl RawPartition {
    /// How messages call it.
    pub fn title(&self) -> String {
        title(self.name.as_ref())
    }
}

fn title(name: Option<&Spanned<String>>) -> String {
    name.map_or("partition".to_owned(), |name| {
        format!("partition `{}`", name.get_ref())
    })
}

#[derive(Debug)]
pub(crate) enum RawImage {
    Kernel {
        kernel: Spanned<String>,
        initrd: Option<Spanned<String>>,
        cmdline: Option<String>,
    },
    File {
        file: Spanned<String>,
        entry: Option<Spanned<u64>>,
        load: Option<Spanned<u64>>,
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
}

#[derive(Debug)]
pub(crate) enum RawConsole {
    Virtual,
    None,
    Device(Spanned<String>),
}

/// Reads a system file. Everything wrong with its form goes to `findings`.
pub(crate) fn read(source: &SourceText, findings: &mut Diagnostics) -> RawSystem {
    let mut syntax = Diagnostics::default();
    let document = parse(source, &mut syntax);
    if syntax.has_errors() {
        // What stands after a syntax error is a guess; findings about it would mislead.
        findings.extend(syntax);
        return RawSystem {
            name: None,
            board: None,
            end: EndState::PowerOff,
            pools: Vec::new(),
            partitions: Vec::new(),
        };
    }
    let mut root = TableReader::new(source, "a system file", document.get_ref(), 0..0);
    let (name, board) = match root.table("system", findings) {
        Some((table, span)) => read_header(source, table, span, findings),
        None => {
            if root.value("system").is_none() {
                findings.push(
                    Diagnostic::error(codes::MISSING_FIELD, "there is no `[system]` table")
                        .at(source, 0..0)
                        .help("begin with `[system]`, `name = \"…\"` and `board = \"…\"`"),
                );
            }
            (None, None)
        }
    };
    let end = root
        .table("hypervisor", findings)
        .map(|(table, span)| read_hypervisor(source, table, span, findings));
    let pools = root
        .table("pools", findings)
        .map_or(Vec::new(), |(table, _)| read_pools(source, table, findings));
    let partitions = match root.value("partition") {
        Some(value) => read_partitions(source, value, findings),
        None => {
            let header = root.value("system").map_or(0..0, Spanned::span);
            findings.push(
                Diagnostic::error(codes::NO_PARTITION, "the system has no partition")
                    .at(source, header)
                    .help("add a `[[partition]]` table with `name`, `pool`, `memory` and `image`"),
            );
            Vec::new()
        }
    };
    root.finish(findings);
    RawSystem {
        name,
        board,
        end: end.unwrap_or(EndState::PowerOff),
        pools,
        partitions,
    }
}

type Header = (Option<Spanned<String>>, Option<Spanned<String>>);

fn read_header(
    source: &SourceText,
    table: &DeTable<'_>,
    span: Range<usize>,
    findings: &mut Diagnostics,
) -> Header {
    let mut reader = TableReader::new(source, "`[system]`", table, span);
    let name = reader.required("name", "\"…\"", string, findings);
    let board = reader.required("board", "\"…\"", string, findings);
    reader.finish(findings);
    (name, board)
}

fn read_hypervisor(
    source: &SourceText,
    table: &DeTable<'_>,
    span: Range<usize>,
    findings: &mut Diagnostics,
) -> EndState {
    let mut reader = TableReader::new(source, "`[hypervisor]`", table, span);
    let end = reader.optional("end", end_state, findings);
    reader.finish(findings);
    end.map_or(EndState::PowerOff, Spanned::into_inner)
}

fn end_state(
    source: &SourceText,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<EndState, Box<Diagnostic>> {
    let words = [
        ("power-off", EndState::PowerOff),
        ("reset", EndState::Reset),
        ("halt", EndState::Halt),
    ];
    one_of(source, key, value, &words)
}

fn read_pools(
    source: &SourceText,
    table: &DeTable<'_>,
    findings: &mut Diagnostics,
) -> Vec<RawPool> {
    let mut pools = Vec::new();
    for (name, value) in table {
        let DeValue::Table(fields) = value.get_ref() else {
            let expected = format!("a table `[pools.{}]`", name.get_ref());
            findings.push(wrong_type(source, name.get_ref(), value, &expected));
            continue;
        };
        let mut reader = TableReader::new(
            source,
            format!("pool `{}`", name.get_ref()),
            fields,
            value.span(),
        );
        let cpus = reader.required("cpus", "[0]", counts, findings);
        // There is one policy, so there is nothing to keep.
        reader.required("policy", "\"dedicated\"", policy, findings);
        reader.finish(findings);
        pools.push(RawPool {
            name: Spanned::new(name.span(), name.get_ref().to_string()),
            cpus,
        });
    }
    pools.sort_by_key(|pool| pool.name.span().start);
    pools
}

/// Accepts the one policy of this version.
fn policy(
    source: &SourceText,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<(), Box<Diagnostic>> {
    let Some(text) = value.get_ref().as_str() else {
        return Err(wrong_type(source, key, value, "\"dedicated\"").into());
    };
    let finding = match text {
        "dedicated" => return Ok(()),
        "rtds" | "cyclic" => {
            let message = format!("policy \"{text}\" is not available in this version");
            let finding = Diagnostic::error(codes::POLICY_NOT_AVAILABLE, message);
            finding.help("use `policy = \"dedicated\"`: each virtual CPU owns a physical CPU")
        }
        _ => {
            let finding = Diagnostic::error(
                codes::UNKNOWN_POLICY,
                format!("there is no policy \"{text}\""),
            );
            let finding = finding.expected("\"dedicated\"");
            match nearest(text, ["dedicated"]) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding,
            }
        }
    };
    Err(finding.at(source, value.span()).into())
}

fn read_partitions(
    source: &SourceText,
    value: &Spanned<DeValue<'_>>,
    findings: &mut Diagnostics,
) -> Vec<RawPartition> {
    let Some(elements) = value.get_ref().as_array() else {
        let finding = wrong_type(source, "partition", value, "an array of tables");
        findings.push(finding.help("write the header with two brackets: `[[partition]]`"));
        return Vec::new();
    };
    let mut partitions = Vec::new();
    for element in elements.iter() {
        match element.get_ref() {
            DeValue::Table(table) => {
                partitions.push(read_partition(source, table, element.span(), findings))
            }
            _ => findings.push(wrong_type(
                source,
                "partition",
                element,
                "a table `[[partition]]`",
            )),
        }
    }
    partitions
}

fn read_partition(
    source: &SourceText,
    table: &DeTable<'_>,
    span: Range<usize>,
    findings: &mut Diagnostics,
) -> RawPartition {
    let mut reader = TableReader::new(source, "partition", table, span.clone());
    let name = reader.required("name", "\"…\"", string, findings);
    reader.call(title(name.as_ref()));
    let pool = reader.required("pool", "\"…\"", string, findings);
    let vcpus = match reader.value("vcpus") {
        Some(_) => reader.optional("vcpus", count, findings),
        None => Some(Spanned::new(span.clone(), 1)),
    };
    let memory = reader.required("memory", "\"64MiB\"", size, findings);
    let image = match reader.value("image") {
        Some(value) => {
            read_image(source, value, findings).map(|image| Spanned::new(value.span(), image))
        }
        None => {
            findings.push(reader.missing("image", "\"path\""));
            None
        }
    };
    let console = match reader.value("console") {
        Some(value) => {
            read_console(source, value, findings).map(|console| Spanned::new(value.span(), console))
        }
        None => Some(Spanned::new(span.clone(), RawConsole::None)),
    };
    let devices = reader.optional("devices", strings, findings);
    let dma = reader.optional("dma", dma_trusted, findings);
    let on_fault = reader.optional("on_fault", fault_policy, findings);
    let firmware_calls = reader.optional("firmware_calls", boolean, findings);
    reader.finish(findings);
    RawPartition {
        span,
        name,
        pool,
        vcpus,
        memory,
        image,
        console,
        devices: devices.map_or(Vec::new(), Spanned::into_inner),
        dma_trusted: dma.is_some_and(Spanned::into_inner),
        on_fault: on_fault.map_or(FaultPolicy::Inject, Spanned::into_inner),
        firmware_calls: firmware_calls.is_some_and(Spanned::into_inner),
    }
}

fn dma_trusted(
    source: &SourceText,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<bool, Box<Diagnostic>> {
    one_of(source, key, value, &[("trusted", true)])
}

fn fault_policy(
    source: &SourceText,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<FaultPolicy, Box<Diagnostic>> {
    let words = [
        ("inject", FaultPolicy::Inject),
        ("stop", FaultPolicy::Stop),
        ("restart", FaultPolicy::Restart),
        ("stop-system", FaultPolicy::StopSystem),
    ];
    one_of(source, key, value, &words)
}

fn read_image(
    source: &SourceText,
    value: &Spanned<DeValue<'_>>,
    findings: &mut Diagnostics,
) -> Option<RawImage> {
    const FORMS: &str = "\"path\", { kernel = \"…\", initrd = \"…\", cmdline = \"…\" } or { file = \"…\", entry = \"0x…\", load = \"0x…\" }";
    let table = match value.get_ref() {
        DeValue::String(text) => {
            return Some(RawImage::File {
                file: Spanned::new(value.span(), text.to_string()),
                entry: None,
                load: None,
            });
        }
        DeValue::Table(table) => table,
        _ => {
            findings.push(wrong_type(source, "image", value, FORMS));
            return None;
        }
    };
    let mut reader = TableReader::new(source, "`image`", table, value.span());
    let has = |key: &str| table.keys().any(|name| name.get_ref() == key);
    let image = if has("file") {
        let file = reader.optional("file", string, findings);
        let entry = reader.optional("entry", address, findings);
        let load = reader.optional("load", address, findings);
        // A field that is wrong or misspelt is reported; without it the file would be taken for another kind.
        let lost = has("entry") != entry.is_some() || has("load") != load.is_some();
        let strange = table
            .keys()
            .any(|key| !["file", "entry", "load"].contains(&key.get_ref().as_ref()));
        file.filter(|_| !lost && !strange)
            .map(|file| RawImage::File { file, entry, load })
    } else {
        let kernel = reader.required("kernel", "\"…\"", string, findings);
        let initrd = reader.optional("initrd", string, findings);
        let cmdline = reader
            .optional("cmdline", string, findings)
            .map(Spanned::into_inner);
        kernel.map(|kernel| RawImage::Kernel {
            kernel,
            initrd,
            cmdline,
        })
    };
    reader.finish(findings);
    image
}

fn read_console(
    source: &SourceText,
    value: &Spanned<DeValue<'_>>,
    findings: &mut Diagnostics,
) -> Option<RawConsole> {
    if let DeValue::Table(table) = value.get_ref() {
        let mut reader = TableReader::new(source, "`console`", table, value.span());
        let device = reader.required("device", "\"…\"", string, findings);
        reader.finish(findings);
        return device.map(RawConsole::Device);
    }
    match one_of(
        source,
        "console",
        value,
        &[("virtual", true), ("none", false)],
    ) {
        Ok(true) => Some(RawConsole::Virtual),
        Ok(false) => Some(RawConsole::None),
        Err(mut finding) => {
            finding.expected = Some("\"virtual\", \"none\" or { device = \"…\" }".to_owned());
            findings.push(*finding);
            None
        }
    }
}
