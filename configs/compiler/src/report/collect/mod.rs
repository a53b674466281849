//! From a planned system to the facts of its report. What a plan does not have is an empty list: nothing is made up here.

mod board;
mod map;
mod partition;
mod terms;

pub(crate) use partition::share;

use super::facts::{
    ChannelEndEntry, ChannelEntry, PoolEntry, RangeEntry, Report, VERSION, Verdict,
};
use super::{risks, verdict};
use crate::diagnostics::Diagnostics;
use crate::plan::Plan;
use crate::processors::Pool;
use crate::range::AddressRange;
use crate::raw::RawSystem;

/// The report of a planned system; `raw` is what the system file says of it.
pub(crate) fn report(plan: &Plan, raw: &RawSystem, warnings: &Diagnostics) -> Report {
    let system = &plan.system;
    let board = &system.board;
    let used = system.cpus();
    let partitions = partition::partitions(plan, raw);
    conclude(Report {
        version: VERSION,
        system: system.name.clone(),
        description: system.description.clone(),
        board: board.name.clone(),
        board_description: board.description.clone(),
        compatible: board.compatible.clone(),
        verdict: Verdict::default(),
        risks: Vec::new(),
        memory: board
            .memory
            .banks
            .iter()
            .map(|bank| range("RAM", *bank))
            .collect(),
        reserved: board
            .memory
            .reserved
            .iter()
            .map(|(bytes, name)| range(name, *bytes))
            .collect(),
        memory_map: board::memory_map(plan),
        image: range("hypervisor", plan.system.image),
        payload_size: plan.payload.size(),
        ipa_bits: plan.ipa_bits,
        stage2_pages: plan.stage2_pages,
        console: board::console(plan),
        cpus: board::cpus(plan),
        parked_cpus: (0..board.cpus.len())
            .filter(|cpu| !used.contains(cpu))
            .collect(),
        pools: pools(plan),
        interrupts: board::interrupts(plan, &partitions),
        streams: board::streams(plan),
        channels: channels(plan),
        partitions,
        warnings: warnings.clone(),
    })
}

/// The report with its verdict and its risks, which are drawn from the rest.
pub(crate) fn conclude(mut report: Report) -> Report {
    report.verdict = verdict::verdict(&report);
    report.risks = risks::risks(&report);
    report
}

fn range(name: impl Into<String>, bytes: AddressRange) -> RangeEntry {
    RangeEntry {
        name: name.into(),
        base: bytes.base,
        size: bytes.size,
    }
}

fn pools(plan: &Plan) -> Vec<PoolEntry> {
    let pool = |pool: &Pool| PoolEntry {
        name: pool.name.clone(),
        policy: pool.policy.word().to_owned(),
        cpus: pool.cpus.clone(),
        major_frame_ns: pool.major_frame,
        admission: pool.admission.clone(),
    };
    plan.system.pools.iter().map(pool).collect()
}

fn channels(plan: &Plan) -> Vec<ChannelEntry> {
    let system = &plan.system;
    let entry = |channel: &crate::system::Channel| ChannelEntry {
        name: channel.name.clone(),
        base: channel.memory.base,
        size: channel.memory.size,
        ends: ends(plan, &channel.name),
    };
    system.channels.iter().map(entry).collect()
}

fn ends(plan: &Plan, channel: &str) -> Vec<ChannelEndEntry> {
    let ends = plan.system.partitions.iter().flat_map(|partition| {
        let own = partition.channels.iter().filter(|end| end.name == channel);
        own.map(|end| ChannelEndEntry {
            partition: partition.name.clone(),
            access: if end.writable {
                "read-write"
            } else {
                "read-only"
            }
            .to_owned(),
            ipa: end.seen.base,
            doorbell: end.doorbell.is_some(),
            doorbell_intid: end.doorbell.map(|intid| intid.get()),
        })
    });
    ends.collect()
}
