//! What a partition may ask of the firmware.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Slot, Value, wrong_type};
use super::values::{array, one_of};
use crate::diagnostics::{Diagnostic, SourceText};

/// A right to a group of PSCI calls, each of which acts on the partition only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PsciRight {
    /// CPU_ON and CPU_OFF.
    Cpus,
    /// SYSTEM_OFF.
    Off,
    /// SYSTEM_RESET.
    Reset,
    /// CPU_SUSPEND and SYSTEM_SUSPEND.
    Suspend,
}

/// Which SMCs beyond PSCI reach the firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FirmwareCalls {
    #[default]
    None,
    All,
    /// Those that concern what the partition owns.
    Mediated,
}

pub(super) fn psci_rights(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<Vec<Spanned<PsciRight>>, Box<Diagnostic>> {
    array(source, slot, value, psci_right)
}

fn psci_right(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<PsciRight, Box<Diagnostic>> {
    let words = [
        ("cpus", PsciRight::Cpus),
        ("off", PsciRight::Off),
        ("reset", PsciRight::Reset),
        ("suspend", PsciRight::Suspend),
    ];
    one_of(source, slot, value, &words)
}

pub(super) fn firmware_calls(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<FirmwareCalls, Box<Diagnostic>> {
    match value.get_ref() {
        DeValue::Boolean(true) => Ok(FirmwareCalls::All),
        DeValue::Boolean(false) => Ok(FirmwareCalls::None),
        DeValue::String(_) => {
            let mediated = [("mediated", FirmwareCalls::Mediated)];
            one_of(source, slot, value, &mediated).map_err(|mut finding| {
                finding.expected = Some(slot.kind.describe());
                finding
            })
        }
        _ => Err(wrong_type(source, slot, value).into()),
    }
}

pub(super) fn dma_trusted(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<bool, Box<Diagnostic>> {
    one_of(
        source,
        slot,
        value,
        &[("protected", false), ("trusted", true)],
    )
}
