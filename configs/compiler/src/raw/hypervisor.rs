//! `[hypervisor]`: what the hypervisor itself does.

use model::system::EndState;
use toml::Spanned;

use super::reader::{Slot, TableReader, Value};
use super::values::{boolean, one_of, size, string};
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};

/// What the hypervisor itself does. A field is `None` when the file does not say it.
#[derive(Debug, Default)]
pub(crate) struct RawHypervisor {
    pub console: Option<Spanned<RawHypervisorConsole>>,
    pub log: Option<Spanned<LogLevel>>,
    /// Bytes of its trace buffer.
    pub trace: Option<Spanned<u64>>,
    pub end: Option<Spanned<EndState>>,
    /// UEFI firmware can start the image, too.
    pub efi: Option<Spanned<bool>>,
    /// The board is checked at boot, line by line.
    pub self_check: Option<Spanned<bool>>,
    /// The console prints a guest's registers on request.
    pub registers: Option<Spanned<bool>>,
}

/// Where the hypervisor's lines go.
#[derive(Debug)]
pub(crate) enum RawHypervisorConsole {
    /// Nowhere.
    None,
    /// A serial port: label, alias or path.
    Device(String),
}

/// The least urgent messages that the hypervisor still prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

pub(super) fn read_hypervisor(
    mut reader: TableReader<'_>,
    findings: &mut Diagnostics,
) -> RawHypervisor {
    let hypervisor = RawHypervisor {
        console: reader.optional("console", console, findings),
        log: reader.optional("log", log_level, findings),
        trace: reader.optional("trace", size, findings),
        end: reader.optional("end", end_state, findings),
        efi: reader.optional("efi", boolean, findings),
        self_check: reader.optional("self_check", boolean, findings),
        registers: reader.optional("registers", boolean, findings),
    };
    reader.finish(findings);
    hypervisor
}

fn console(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<RawHypervisorConsole, Box<Diagnostic>> {
    let name = string(source, slot, value)?;
    Ok(match name.as_str() {
        "none" => RawHypervisorConsole::None,
        _ => RawHypervisorConsole::Device(name),
    })
}

fn log_level(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<LogLevel, Box<Diagnostic>> {
    let words = [
        ("off", LogLevel::Off),
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    one_of(source, slot, value, &words)
}

fn end_state(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<EndState, Box<Diagnostic>> {
    let words = [
        ("power-off", EndState::PowerOff),
        ("reset", EndState::Reset),
        ("halt", EndState::Halt),
    ];
    one_of(source, slot, value, &words)
}
