//! What a system file says of a partition's rights and life, in words.

use super::super::units::{count, time};
use model::monitor::Class;
use model::partition::FaultPolicy;
use toml::Spanned;

use crate::eemi::Owned;
use crate::raw::rights::PsciRight;
use crate::raw::{FirmwareCalls, RawPartition};
use crate::system::Partition;

/// The PSCI functions that a partition may use; all when the file does not say.
pub(super) fn psci(raw: &RawPartition) -> Vec<String> {
    const ALL: [(PsciRight, &str); 4] = [
        (PsciRight::Cpus, "cpus"),
        (PsciRight::Off, "off"),
        (PsciRight::Reset, "reset"),
        (PsciRight::Suspend, "suspend"),
    ];
    let has = |right: &PsciRight| {
        let listed = raw.psci.as_ref();
        listed.is_none_or(|rights| rights.get_ref().iter().any(|one| one.get_ref() == right))
    };
    let granted = ALL.iter().filter(|(right, _)| has(right));
    granted.map(|(_, word)| (*word).to_owned()).collect()
}

/// What filtered calls may change, by kind; empty where nothing is filtered.
pub(super) fn firmware_resources(partition: &Partition) -> Vec<String> {
    let kinds = partition.eemi.iter().flat_map(Owned::fields);
    let kinds = kinds.filter(|(_, numbers)| !numbers.is_empty());
    let kinds = kinds.map(|(name, numbers)| {
        let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
        format!("{} {}", name.replace('_', " "), numbers.join(", "))
    });
    kinds.collect()
}

/// Which firmware calls beyond PSCI pass.
pub(super) fn firmware_calls(raw: &RawPartition) -> &'static str {
    match raw.firmware_calls() {
        FirmwareCalls::None => "none",
        FirmwareCalls::Mediated => "mediated",
        FirmwareCalls::All => "all",
    }
}

/// How often and how fast a restart is tried: what follows the policy.
pub(super) fn restarts(raw: &RawPartition) -> String {
    let Some(on_fault) = raw.on_fault.as_ref().map(|one| one.get_ref()) else {
        return String::new();
    };
    let limit = on_fault
        .limit
        .as_ref()
        .map(|limit| format!(", at most {}", count(*limit.get_ref() as usize, "time")));
    let pause = on_fault
        .back_off
        .as_ref()
        .map(|pause| format!(", {} later", time(*pause.get_ref())));
    let then = on_fault.then.as_ref().map(|then| match then.get_ref() {
        FaultPolicy::StopSystem => ", then stop-system",
        _ => ", then stop",
    });
    let then = then.map(str::to_owned);
    [limit, pause, then].into_iter().flatten().collect()
}

/// The answers to single classes of failures, behind the one that holds for the others.
pub(super) fn classes(raw: &RawPartition) -> String {
    let answers = raw.on.as_ref().map(|on| on.answers);
    let named = Class::ALL.into_iter().zip(answers.into_iter().flatten());
    named
        .filter_map(|(class, answer)| {
            let word = match answer? {
                FaultPolicy::Inject => "ignore",
                FaultPolicy::Stop => "stop",
                FaultPolicy::Restart => "restart",
                FaultPolicy::StopSystem => "stop-system",
            };
            Some(format!("; {}: {word}", class.name()))
        })
        .collect()
}

/// Who is told of its failures, behind the answers to them.
pub(super) fn notices(raw: &RawPartition) -> String {
    match names(&raw.notify).join(", ") {
        none if none.is_empty() => none,
        told => format!("; told to {told}"),
    }
}

/// A list of partitions.
pub(super) fn names(names: &[Spanned<String>]) -> Vec<String> {
    names.iter().map(|name| name.get_ref().clone()).collect()
}

/// When it starts; empty for "at once".
pub(super) fn start(raw: &RawPartition) -> String {
    let Some(start) = &raw.start else {
        return String::new();
    };
    let names: Vec<&str> = start
        .after
        .iter()
        .map(|name| name.get_ref().as_str())
        .collect();
    let after = (!names.is_empty()).then(|| format!("after {}", names.join(", ")));
    let delay = start.delay.as_ref().filter(|delay| *delay.get_ref() > 0);
    let delay = delay.map(|delay| format!("{} later", time(*delay.get_ref())));
    let waits = (!start.automatic).then(|| "only when it is told to".to_owned());
    let parts: Vec<String> = [waits, after, delay].into_iter().flatten().collect();
    parts.join(", ")
}
