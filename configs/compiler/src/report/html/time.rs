//! The chapter on CPUs and time.

use super::super::facts::{PoolEntry, Report, Share, VcpuEntry};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::svg::{cpu_grid, cyclic_frame, members, rtds_load, rtds_periods};
use super::super::units::{percent, ranges, time};
use super::nothing;
use super::table::{Cell, table};

pub(super) fn chapter(out: &mut Markup, report: &Report, owners: &Owners<'_>) {
    out.element("figure", &[], |out| cpu_grid(out, report, owners));
    let row = |cpu: &super::super::facts::CpuEntry| {
        let runs: Vec<String> = cpu
            .runs
            .iter()
            .map(|one| format!("{} vCPU {}", one.partition, one.vcpu))
            .collect();
        vec![
            Cell::number(cpu.cpu),
            Cell::code(format_args!("{:#x}", cpu.mpidr)),
            Cell::text(cpu.pool.as_deref().unwrap_or("—")),
            Cell::text(if runs.is_empty() {
                "parked: it waits and runs nothing".to_owned()
            } else {
                runs.join(", ")
            }),
        ]
    };
    let rows: Vec<Vec<Cell>> = report.cpus.iter().map(row).collect();
    table(
        out,
        "Physical CPUs",
        &["CPU", "MPIDR", "pool", "runs"],
        &rows,
    );
    for one in &report.pools {
        pool(out, report, one, owners);
    }
}

fn pool(out: &mut Markup, report: &Report, pool: &PoolEntry, owners: &Owners<'_>) {
    out.leaf(
        "h3",
        &[],
        format_args!("Pool {}: {}", pool.name, pool.policy),
    );
    let meaning = match pool.policy.as_str() {
        "dedicated" => "Each virtual CPU has a physical CPU for itself. No scheduler runs.",
        "rtds" => {
            "Each virtual CPU gets its budget in each of its periods; the earliest deadline runs first. It may use the budget at any time of the period; the drawing shows it at the start."
        }
        "cyclic" => {
            "Each virtual CPU runs in its windows of the major frame, and nobody else runs then."
        }
        _ => "",
    };
    out.leaf("p", &[], meaning);
    match pool.policy.as_str() {
        "rtds" => out.element("figure", &[], |out| {
            rtds_load(out, report, pool, owners);
            rtds_periods(out, report, pool, owners);
        }),
        "cyclic" => out.element("figure", &[], |out| cyclic_frame(out, report, pool, owners)),
        _ => {}
    }
    let members = members(report, pool);
    let rows: Vec<Vec<Cell>> = members
        .iter()
        .map(|(name, index, vcpu)| {
            vec![
                Cell::Owner(format!("{name} vCPU {index}"), owners.partition_class(name)),
                Cell::text(ranges(&vcpu.cpus)),
                Cell::text(promise(vcpu)),
                Cell::number(percent(vcpu.share.utilisation_ppm(pool.major_frame_ns))),
            ]
        })
        .collect();
    let caption = format!("Virtual CPUs of pool {}", pool.name);
    table(
        out,
        &caption,
        &["virtual CPU", "may run on CPU", "time", "of one CPU"],
        &rows,
    );
    if pool.admission.is_empty() {
        nothing(out, "The report holds no argument for this pool.");
    } else {
        out.leaf("h4", &[], "Why it fits");
        out.element("ol", &[("class", &"argument")], |out| {
            for line in &pool.admission {
                out.leaf("li", &[], line);
            }
        });
    }
}

/// What a virtual CPU is promised.
fn promise(vcpu: &VcpuEntry) -> String {
    match &vcpu.share {
        Share::Dedicated => "all of its CPU".to_owned(),
        Share::Rtds {
            period_ns,
            budget_ns,
            extra_time,
            priority,
        } => {
            let extra = if *extra_time {
                ", and what others leave"
            } else {
                ""
            };
            format!(
                "{} in each {}{extra}; priority {priority}",
                time(*budget_ns),
                time(*period_ns)
            )
        }
        Share::Cyclic { windows } => {
            let windows = windows
                .iter()
                .map(|one| format!("{} at {}", time(one.length_ns), time(one.start_ns)));
            windows.collect::<Vec<_>>().join(", ")
        }
    }
}
