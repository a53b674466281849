//! Trace events as Chrome and Perfetto read them ("Trace Event Format", a Google document): complete events (`X`) for runs, instant events
//! (`i`) for what happens to a virtual CPU, metadata events (`M`) for the names. Times are in microseconds.

use qemu::trace::{Event, Ring};
use rtds_experiments::{MarkKind, Run, Schedule};
use serde_json::{Value, json};

use super::schedule::Window;

/// The groups of rows that a viewer shows.
const PHYSICAL: u32 = 1;
const VIRTUAL: u32 = 2;
const HYPERVISOR: u32 = 3;

/// A schedule as a JSON object: a row for each physical CPU, and one for each virtual CPU.
pub fn trace_events(schedule: &Schedule) -> Value {
    let mut events = vec![
        process_name(PHYSICAL, "physical CPUs"),
        process_name(VIRTUAL, "virtual CPUs"),
    ];
    for pcpu in 0..schedule.pcpus {
        events.push(thread_name(PHYSICAL, pcpu, &format!("CPU {pcpu}")));
    }
    for (vcpu, name) in schedule.vcpus.iter().enumerate() {
        events.push(thread_name(VIRTUAL, vcpu, name));
    }
    for run in &schedule.runs {
        let name = schedule.vcpus.get(run.vcpu).map_or("?", String::as_str);
        events.push(complete(name, PHYSICAL, run.pcpu, run));
        events.push(complete(
            &format!("CPU {}", run.pcpu),
            VIRTUAL,
            run.vcpu,
            run,
        ));
    }
    for mark in &schedule.marks {
        events.push(json!({
            "name": word(mark.kind),
            "ph": "i",
            "s": "t",
            "ts": microseconds(mark.at),
            "pid": VIRTUAL,
            "tid": mark.vcpu,
        }));
    }
    json!({
        "displayTimeUnit": "ns",
        "otherData": { "title": schedule.title },
        "traceEvents": events,
    })
}

/// Adds what each physical CPU did in the hypervisor: exits from their begin to the next entry, and what happened in them, each with its value.
pub fn add_exits(trace: &mut Value, rings: &[Ring], window: &Window) {
    let Some(Value::Array(events)) = trace.get_mut("traceEvents") else {
        return;
    };
    events.push(process_name(HYPERVISOR, "hypervisor"));
    for ring in rings {
        events.push(thread_name(
            HYPERVISOR,
            ring.pcpu,
            &format!("CPU {}", ring.pcpu),
        ));
        let mut left = None;
        for event in &ring.events {
            let Some(at) = window.shown(ring, event.at) else {
                continue;
            };
            match event.kind.as_str() {
                "exit" => left = Some((at, event)),
                "entry" => {
                    if let Some((since, exit)) = left.take() {
                        events.push(answered(ring.pcpu, exit, event, [since, at]));
                    }
                }
                // These are in the rows of the virtual CPUs.
                "wake" | "block" | "run" | "stop" | "replenish" | "budget-end" => {}
                _ => events.push(happened(ring.pcpu, event, at)),
            }
        }
    }
}

/// An exit with its end.
fn answered(pcpu: usize, exit: &Event, entry: &Event, [from, to]: [u64; 2]) -> Value {
    json!({
        "name": entry.detail,
        "ph": "X",
        "ts": microseconds(from),
        "dur": microseconds(to.saturating_sub(from)),
        "pid": HYPERVISOR,
        "tid": pcpu,
        "args": {
            "partition": exit.partition,
            "vcpu": exit.vcpu,
            "cause": format!("{} {:#x}", exit.detail, exit.value),
            "ticks": entry.value,
        },
    })
}

fn happened(pcpu: usize, event: &Event, at: u64) -> Value {
    let name = [event.kind.as_str(), event.detail.as_str()].join(" ");
    json!({
        "name": name.trim_end(),
        "ph": "i",
        "s": "t",
        "ts": microseconds(at),
        "pid": HYPERVISOR,
        "tid": pcpu,
        "args": {
            "partition": event.partition,
            "vcpu": event.vcpu,
            "value": format!("{:#x}", event.value),
        },
    })
}

fn complete(name: &str, process: u32, thread: usize, run: &Run) -> Value {
    json!({
        "name": name,
        "ph": "X",
        "ts": microseconds(run.from),
        "dur": microseconds(run.to.saturating_sub(run.from)),
        "pid": process,
        "tid": thread,
    })
}

fn process_name(process: u32, name: &str) -> Value {
    json!({ "name": "process_name", "ph": "M", "pid": process, "args": { "name": name } })
}

fn thread_name(process: u32, thread: usize, name: &str) -> Value {
    json!({ "name": "thread_name", "ph": "M", "pid": process, "tid": thread, "args": { "name": name } })
}

const fn word(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Wake => "wake",
        MarkKind::Block => "block",
        MarkKind::Replenish => "replenish",
        MarkKind::BudgetEnd => "budget end",
        MarkKind::Fault => "fault",
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use rtds_experiments::Mark;

    use super::*;

    #[test]
    fn run_is_shown_on_its_physical_and_its_virtual_cpu() {
        let schedule = Schedule {
            name: "test".to_owned(),
            title: "Test".to_owned(),
            vcpus: vec!["V1".to_owned()],
            pcpus: 2,
            runs: vec![Run {
                vcpu: 0,
                pcpu: 1,
                from: 1500,
                to: 4000,
            }],
            marks: vec![Mark {
                vcpu: 0,
                at: 4000,
                kind: MarkKind::BudgetEnd,
            }],
        };

        let trace = trace_events(&schedule);

        let events = trace["traceEvents"].as_array().unwrap();
        let runs: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(runs.len(), 2);
        assert_eq!(
            (&runs[0]["name"], &runs[0]["tid"]),
            (&json!("V1"), &json!(1))
        );
        assert_eq!(
            (&runs[1]["name"], &runs[1]["tid"]),
            (&json!("CPU 1"), &json!(0))
        );
        assert_eq!(
            (&runs[0]["ts"], &runs[0]["dur"]),
            (&json!(1.5), &json!(2.5))
        );
        let marks: Vec<&Value> = events.iter().filter(|event| event["ph"] == "i").collect();
        assert_eq!(marks[0]["name"], "budget end");
        let names = events.iter().filter(|event| event["name"] == "thread_name");
        assert_eq!(names.count(), 3);
    }
}
