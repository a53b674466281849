//! What the image for PCs cannot do yet, although the system file can say it, and what the board does not have.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::PcBoard;
use super::linux::LONGEST_COMMAND_LINE;
use crate::check::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::image::Image;
use crate::processors::assign;
use crate::raw::{PoolPolicy, RawConsole, RawHypervisorConsole, RawImage, RawPartition, RawSystem};
use crate::resolve::Resolved;

/// The most virtual CPUs that share a CPU.
const MOST_ON_ONE: usize = 16;

/// Reports every use of what the image cannot do, and every CPU that the board does not have.
pub(super) fn check(context: &Context<'_>, board: &PcBoard, findings: &mut Diagnostics) {
    let system = context.system;
    let mut uses: Vec<(Range<usize>, &str)> = Vec::new();
    for pool in &system.pools {
        if let Some(placement) = pool.placement.as_ref().filter(|_| pool.is_global()) {
            uses.push((placement.span(), "move virtual CPUs between CPUs"));
        }
        for cpu in pool.cpus.iter().flat_map(|cpus| cpus.get_ref()) {
            if *cpu.get_ref() as usize >= board.cpus.len() {
                findings.push(no_such_cpu(context, board, cpu));
            }
        }
    }
    for overlay in &system.overlays {
        uses.push((overlay.span(), "have an overlay: a PC has no device tree"));
    }
    if let Some(console) = &system.hypervisor.console
        && let RawHypervisorConsole::Device(_) = console.get_ref()
    {
        uses.push((
            console.span(),
            "choose its console: `board.toml` names the one",
        ));
    }
    let switches = [
        (&system.hypervisor.efi, "be an EFI application"),
        (
            &system.hypervisor.self_check,
            "check its board line by line",
        ),
        (&system.hypervisor.registers, "print a guest's registers"),
    ];
    for (switch, what) in switches {
        if let Some(on) = switch.as_ref().filter(|on| *on.get_ref()) {
            uses.push((on.span(), what));
        }
    }
    uses.extend(crowded(system));
    for (partition, resolved) in system.partitions.iter().zip(context.resolved) {
        each(partition, &mut uses);
        sharing(system, partition, &mut uses);
        findings.extend(long_command_line(context, partition, resolved));
    }
    for (span, what) in uses {
        findings.push(
            Diagnostic::error(
                codes::LIMIT_PC,
                format!("the image for PCs of this version cannot {what}"),
            )
            .at(context.source, span)
            .help("leave it out; docs/x86.md says what a PC can do"),
        );
    }
}

fn each(partition: &RawPartition, uses: &mut Vec<(Range<usize>, &str)>) {
    if let Some(image) = &partition.image {
        if let Some(address) = image.get_ref().address() {
            uses.push((address.span(), "take an image from a file of its own"));
        }
        match image.get_ref() {
            RawImage::File {
                entry: Some(entry), ..
            } => uses.push((entry.span(), "load a raw file: give an ELF file")),
            RawImage::Kernel { .. } | RawImage::File { .. } => {}
        }
    }
    if let Some(overlay) = &partition.overlay {
        uses.push((overlay.span(), "have an overlay: a PC has no device tree"));
    }
    if let Some(console) = &partition.console
        && let RawConsole::Device(_) = console.get_ref()
    {
        uses.push((console.span(), "give a device away: it can be `virtual`"));
    }
    if let Some(gic) = &partition.gic {
        uses.push((gic.span(), "show a GIC: a PC has an APIC"));
    }
    for device in &partition.devices {
        let plain = device.id.is_none()
            && [device.window, device.high_window] == [None, None]
            && (device.vectors, device.pin, device.acs) == (None, None, false)
            && device.clocks.is_none()
            && device.without.is_empty()
            && device.read_only.is_none();
        if !plain {
            let what = "say more of a device than its name: bus, device and function";
            uses.push((device.name.span(), what));
        }
    }
    for interrupt in &partition.interrupts {
        uses.push((interrupt.spi.span(), "give interrupts away"));
    }
    if let Some(answer) = &partition.on_fault
        && (answer.get_ref().limit.is_some() || answer.get_ref().back_off.is_some())
    {
        uses.push((answer.span(), "limit or delay restarts"));
    }
    if let Some(on) = &partition.on {
        uses.push((on.span.clone(), "tell classes of failures apart"));
    }
    if let Some(watchdog) = &partition.watchdog {
        uses.push((watchdog.span(), "watch over partitions"));
    }
    if let Some(pristine) = &partition.pristine {
        uses.push((
            pristine.span(),
            "clear memory and compare images at each start",
        ));
    }
    if let Some(limit) = &partition.interrupt_limit {
        uses.push((limit.span(), "limit interrupts"));
    }
    if let Some(start) = &partition.start {
        uses.push((start.span.clone(), "choose when partitions start"));
    }
    for right in &partition.may_control {
        uses.push((right.span(), "let partitions control others"));
    }
    for right in &partition.may_read_console {
        uses.push((right.span(), "let partitions read the consoles of others"));
    }
    if let Some(page) = &partition.control_page {
        uses.push((page.span(), "let partitions control others"));
    }
    for right in partition.may_watch.iter().chain(&partition.notify) {
        uses.push((right.span(), "tell partitions of others"));
    }
    if let Some(calls) = &partition.firmware_calls {
        uses.push((calls.span(), "pass firmware calls on: a PC has none"));
    }
}

/// Pools with too many virtual CPUs on one CPU: what belongs to them lies on the stack of that CPU.
fn crowded(system: &RawSystem) -> Vec<(Range<usize>, &'static str)> {
    let (_, partitions) = assign(system).unwrap_or_default();
    let mut on_cpu: BTreeMap<usize, usize> = BTreeMap::new();
    let mut found = Vec::new();
    let raw = system.partitions.iter().flat_map(|one| &one.vcpus);
    for (vcpu, raw) in partitions.iter().flatten().zip(raw) {
        let count = vcpu.cpus.first().map(|cpu| on_cpu.entry(*cpu).or_default());
        let Some((count, pool)) = count.zip(raw.pool.as_ref()) else {
            continue;
        };
        *count += 1;
        if *count == MOST_ON_ONE + 1 {
            found.push((pool.span(), "share a CPU among more than 16 virtual CPUs"));
        }
    }
    found
}

/// What a partition cannot have whose virtual CPUs share CPUs.
fn sharing(system: &RawSystem, partition: &RawPartition, uses: &mut Vec<(Range<usize>, &str)>) {
    let shares = |name: &&Spanned<String>| {
        let mut pools = system.pools.iter();
        let pool = pools.find(|pool| pool.name.get_ref() == name.get_ref());
        let policy = pool.and_then(|pool| pool.policy.as_ref());
        policy.is_some_and(|policy| *policy.get_ref() != PoolPolicy::Dedicated)
    };
    let (sharing, own): (Vec<_>, Vec<_>) = partition.pools().into_iter().partition(shares);
    if sharing.is_empty() {
        return;
    }
    for pool in own {
        let what = "give CPUs to some virtual CPUs of a partition while others share theirs";
        uses.push((pool.span(), what));
    }
    for device in &partition.devices {
        let what = "give a device to a partition that shares a CPU";
        uses.push((device.name.span(), what));
    }
}

/// A command line that the kernel itself would cut off.
fn long_command_line(
    context: &Context<'_>,
    partition: &RawPartition,
    resolved: &Resolved,
) -> Option<Diagnostic> {
    let loaded = resolved.image.as_ref()?;
    let Image::PcKernel(kernel) = &loaded.image else {
        return None;
    };
    let most = kernel.longest_command_line.min(LONGEST_COMMAND_LINE);
    let length = loaded.cmdline.as_ref()?.len() as u64;
    let main = partition.image.as_ref()?.get_ref().main();
    (length > most).then(|| {
        let message = format!("the command line of {} is too long", partition.title());
        Diagnostic::error(codes::OUT_OF_RANGE, message)
            .at(context.source, main.span())
            .found(format!("{length} bytes"))
            .expected(format!("at most {most}, as the kernel says"))
            .help("shorten `cmdline`")
    })
}

fn no_such_cpu(context: &Context<'_>, board: &PcBoard, cpu: &Spanned<u32>) -> Diagnostic {
    let message = format!("the board has no CPU {}", cpu.get_ref());
    let finding =
        Diagnostic::error(codes::CPU_NOT_ON_BOARD, message).at(context.source, cpu.span());
    let count = board.cpus.len();
    match count.checked_sub(1) {
        Some(last) => finding.expected(format!("0 to {last}: the board has {count} CPUs")),
        None => finding.help("list the board's CPUs in its `board.toml`"),
    }
}
