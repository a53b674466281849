//! `[[partition]]`: an isolated guest.

use std::ops::Range;

use model::partition::FaultPolicy;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::console::{RawConsole, read_console};
use super::device::{RawDevice, read_devices};
use super::gic::{GicVersion, gic_version};
use super::image::{RawImage, read_image};
use super::interrupt::{RawInterrupt, read_interrupts};
use super::lifecycle::{RawOn, RawOnFault, RawStart, read_on, read_on_fault, read_start};
use super::memory::{RawMemory, read_memory};
use super::reader::{Slot, TableReader, Value, wrong_type};
use super::rights::{FirmwareCalls, PsciRight, dma_trusted, firmware_calls, psci_rights};
use super::schema::{ON, PARTITION, START};
use super::values::{boolean, duration, number, string, strings};
use super::vcpu::{RawVcpu, read_common, read_vcpus};
use crate::diagnostics::{Diagnostics, SourceText};

/// A partition as it stands. A field is `None` or empty when it is missing or was already reported as wrong.
#[derive(Debug)]
pub(crate) struct RawPartition {
    /// Its table's header.
    pub span: Range<usize>,
    pub name: Option<Spanned<String>>,
    /// What the partition says for all its virtual CPUs.
    pub pool: Option<Spanned<String>>,
    /// One when the field is missing; empty when it is wrong.
    pub vcpus: Vec<RawVcpu>,
    /// Where `vcpus` is written; the header when it is missing.
    pub vcpus_span: Range<usize>,
    /// The first region holds image and device tree.
    pub memory: Vec<RawMemory>,
    pub image: Option<Spanned<RawImage>>,
    /// An overlay for its device tree.
    pub overlay: Option<Spanned<String>>,
    pub console: Option<Spanned<RawConsole>>,
    /// The board's when it is missing.
    pub gic: Option<Spanned<GicVersion>>,
    /// What it is shown of a PC's CPUs: everything when it is missing.
    pub cpu_policy: Option<Spanned<String>>,
    pub devices: Vec<RawDevice>,
    pub interrupts: Vec<RawInterrupt>,
    pub dma_trusted: bool,
    /// All rights when it is missing.
    pub psci: Option<Spanned<Vec<Spanned<PsciRight>>>>,
    pub firmware_calls: Option<Spanned<FirmwareCalls>>,
    pub on_fault: Option<Spanned<RawOnFault>>,
    pub on: Option<RawOn>,
    /// Partitions whose life it may control.
    pub may_control: Vec<Spanned<String>>,
    /// Partitions of which it may ask how they do.
    pub may_watch: Vec<Spanned<String>>,
    /// Partitions whose console it may read.
    pub may_read_console: Vec<Spanned<String>>,
    /// Its programs have a page by which they make Bulkhead's own calls.
    pub control_page: Option<Spanned<bool>>,
    /// Partitions that are told of its failures.
    pub notify: Vec<Spanned<String>>,
    /// Nanoseconds.
    pub watchdog: Option<Spanned<u64>>,
    /// Interrupts a second.
    pub interrupt_limit: Option<Spanned<u32>>,
    pub start: Option<RawStart>,
    /// A start finds nothing of the run before.
    pub pristine: Option<Spanned<bool>>,
}

impl RawPartition {
    /// How messages call it.
    pub fn title(&self) -> String {
        title(self.name.as_ref())
    }

    /// The pools that it names, each place once.
    pub fn pools(&self) -> Vec<&Spanned<String>> {
        let own = self.vcpus.iter().filter_map(|vcpu| vcpu.pool.as_ref());
        let mut pools: Vec<&Spanned<String>> = self.pool.iter().chain(own).collect();
        pools.sort_by_key(|pool| pool.span().start);
        pools.dedup_by_key(|pool| pool.span().start);
        pools
    }

    /// True when it asks for a page of calls.
    pub fn has_control_page(&self) -> bool {
        self.control_page.as_ref().is_some_and(|one| *one.get_ref())
    }

    /// Its answer to faults.
    pub fn fault_policy(&self) -> FaultPolicy {
        let on_fault = self.on_fault.as_ref().map(Spanned::get_ref);
        on_fault.map_or(FaultPolicy::Inject, |on_fault| on_fault.policy)
    }

    /// The version of interrupt controller that it asks for.
    pub fn gic_version(&self) -> Option<GicVersion> {
        self.gic.as_ref().map(|version| *version.get_ref())
    }

    /// Which SMCs beyond PSCI reach the firmware.
    pub fn firmware_calls(&self) -> FirmwareCalls {
        let calls = self.firmware_calls.as_ref().map(Spanned::get_ref);
        calls.copied().unwrap_or_default()
    }
}

fn title(name: Option<&Spanned<String>>) -> String {
    name.map_or("partition".to_owned(), |name| {
        format!("partition `{}`", name.get_ref())
    })
}

pub(super) fn read_partitions(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Vec<RawPartition> {
    let Some(elements) = value.get_ref().as_array() else {
        let finding = wrong_type(source, slot, value);
        findings.push(finding.help("write the header with two brackets: `[[partition]]`"));
        return Vec::new();
    };
    let mut partitions = Vec::new();
    for element in elements.iter() {
        match element.get_ref() {
            DeValue::Table(table) => {
                partitions.push(read_partition(source, table, element.span(), findings))
            }
            _ => findings.push(wrong_type(source, slot.element(), element)),
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
    let mut reader = TableReader::new(source, "partition", &PARTITION, table, span.clone());
    let name = reader.required("name", string, findings);
    let title = title(name.as_ref());
    reader.call(&title);
    let common = read_common(source, &mut reader, span.clone(), findings);
    let pool_asked = reader.value("pool").is_some();
    let (vcpus, vcpus_span) = match reader.value("vcpus") {
        Some((slot, value)) => {
            let vcpus = read_vcpus(source, &title, slot, value, &common, findings);
            (vcpus, value.span())
        }
        None => (vec![common.clone()], span.clone()),
    };
    let all_have_pools = !vcpus.is_empty() && vcpus.iter().all(|vcpu| vcpu.pool.is_some());
    if !pool_asked && !all_have_pools {
        reader.report_missing("pool", findings);
    }
    let memory = match reader.value("memory") {
        Some((slot, value)) => read_memory(source, &title, slot, value, findings),
        None => {
            reader.report_missing("memory", findings);
            Vec::new()
        }
    };
    let image = match reader.value("image") {
        Some((slot, value)) => {
            read_image(source, slot, value, findings).map(|image| Spanned::new(value.span(), image))
        }
        None => {
            reader.report_missing("image", findings);
            None
        }
    };
    let console = match reader.value("console") {
        Some((slot, value)) => read_console(source, slot, value, findings)
            .map(|console| Spanned::new(value.span(), console)),
        None => Some(Spanned::new(span.clone(), RawConsole::None)),
    };
    let devices = reader.value("devices");
    let interrupts = reader.value("interrupts");
    let on_fault = reader.value("on_fault");
    let start = reader.table("start", findings);
    let on = reader.table("on", findings);
    let partition = RawPartition {
        span,
        name,
        pool: common.pool,
        vcpus,
        vcpus_span,
        memory,
        image,
        overlay: reader.optional("overlay", string, findings),
        console,
        gic: reader.optional("gic", gic_version, findings),
        cpu_policy: reader.optional("cpu_policy", string, findings),
        devices: devices.map_or(Vec::new(), |(slot, value)| {
            read_devices(source, slot, value, findings)
        }),
        interrupts: interrupts.map_or(Vec::new(), |(slot, value)| {
            read_interrupts(source, slot, value, findings)
        }),
        dma_trusted: reader
            .optional("dma", dma_trusted, findings)
            .is_some_and(Spanned::into_inner),
        psci: reader.optional("psci", psci_rights, findings),
        firmware_calls: reader.optional("firmware_calls", firmware_calls, findings),
        on_fault: on_fault.and_then(|(slot, value)| {
            read_on_fault(source, slot, value, findings)
                .map(|answer| Spanned::new(value.span(), answer))
        }),
        on: on.map(|(table, span)| {
            let reader = TableReader::new(source, "`on`", &ON, table, span.clone());
            read_on(reader, span, findings)
        }),
        may_control: names(&mut reader, "may_control", findings),
        may_watch: names(&mut reader, "may_watch", findings),
        may_read_console: names(&mut reader, "may_read_console", findings),
        control_page: reader.optional("control_page", boolean, findings),
        notify: names(&mut reader, "notify", findings),
        watchdog: reader.optional("watchdog", duration, findings),
        interrupt_limit: reader.optional("interrupt_limit", number, findings),
        pristine: reader.optional("pristine", boolean, findings),
        start: start.map(|(table, span)| {
            let reader = TableReader::new(source, "`start`", &START, table, span.clone());
            read_start(reader, span, findings)
        }),
    };
    reader.finish(findings);
    partition
}

/// A list of partitions; empty where the file has none.
fn names(
    reader: &mut TableReader<'_>,
    field: &'static str,
    findings: &mut Diagnostics,
) -> Vec<Spanned<String>> {
    let names = reader.optional(field, strings, findings);
    names.map_or(Vec::new(), Spanned::into_inner)
}
