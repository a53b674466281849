//! Rtds pools with `placement = "global"`: each virtual CPU on any of the CPUs of its affinity, where all get their budgets.

use ::rtds::PcpuSet;
use ::rtds::admission::global::need_on;
use ::rtds::admission::{Need, Server};
use embassy_time::Duration;

use super::rtds::{budget_of, server, sum};
use super::share::per_cent;
use super::{Member, PoolAdmission, Refusal, rtds};
use crate::codes;
use crate::diagnostics::Diagnostic;
use crate::raw::pool::RawPool;
use crate::raw::quantity::human_time;

/// What the physical CPUs lose around each budget, in nanoseconds, where the pool does not say it: twice what it is in a partitioned pool, as
/// who goes on elsewhere is put down on one CPU and taken up on another.
const SWITCH_COST: u64 = 2 * rtds::SWITCH_COST;

/// `None` when a rule about budgets is broken.
pub(super) fn admit(
    pool: &RawPool,
    cpus: &[usize],
    members: &[Member<'_>],
) -> Option<Result<PoolAdmission, Refusal>> {
    let cost = pool.switch_cost.as_ref();
    let cost = Duration::from_ticks(cost.map_or(SWITCH_COST, |cost| *cost.get_ref()));
    let servers = members.iter().map(|member| server(member.raw, cost));
    let set = Set {
        pool,
        members,
        servers: servers.collect::<Option<Vec<Server>>>()?,
        cost,
    };
    if cpus.len() > PcpuSet::MOST {
        return Some(Err(set.too_wide(cpus.len())));
    }
    Some(match set.worst() {
        None => Ok(set.admission(cpus)),
        Some((victim, need)) => Err(set.refusal(cpus, victim, &need)),
    })
}

/// Virtual CPUs that share the CPUs of a pool.
struct Set<'a> {
    pool: &'a RawPool,
    members: &'a [Member<'a>],
    servers: Vec<Server>,
    /// What the CPUs lose around each budget.
    cost: Duration,
}

impl Set<'_> {
    fn allowed(&self, index: usize) -> &[usize] {
        let member = self.members.get(index);
        member.map_or(&[], |member| &member.allowed)
    }

    /// What one needs beside all that may run on one of its CPUs.
    fn need(&self, index: usize) -> Option<Need> {
        let own = self.allowed(index);
        let meets = |other: &usize| self.allowed(*other).iter().any(|cpu| own.contains(cpu));
        let others = (0..self.servers.len()).filter(|other| *other != index && meets(other));
        let others = others.filter_map(|other| self.servers.get(other));
        Some(need_on(self.servers.get(index)?, others, own.len() as u64))
    }

    /// Who misses most.
    fn worst(&self) -> Option<(usize, Need)> {
        let needs = (0..self.servers.len()).filter_map(|index| Some((index, self.need(index)?)));
        let missing = needs.filter_map(|(index, need)| Some((need.excess()?, index, need)));
        let worst = missing.max_by_key(|(excess, index, _)| (*excess, *index));
        worst.map(|(_, index, need)| (index, need))
    }

    /// The home of each goes round, so that no CPU gets all interrupts of devices.
    fn admission(&self, cpus: &[usize]) -> PoolAdmission {
        let mut admission = PoolAdmission {
            homes: Vec::new(),
            argument: self.argue(cpus),
            cpus: Vec::new(),
        };
        for (index, member) in self.members.iter().enumerate() {
            let mut homes = member.allowed.clone();
            let home = index % homes.len().max(1);
            homes.rotate_left(home);
            admission.homes.push((member.id, homes));
        }
        let is_used = |cpu: &&usize| self.members.iter().any(|one| one.allowed.contains(cpu));
        admission.cpus = cpus.iter().filter(is_used).copied().collect();
        admission
    }

    fn argue(&self, cpus: &[usize]) -> Vec<String> {
        let total = per_cent(self.servers.iter().map(Server::utilisation_ppm).sum());
        let mut lines = vec![format!(
            "{total} of one CPU's time is promised on the {} together",
            numbers(cpus)
        )];
        for (index, member) in self.members.iter().enumerate() {
            if let Some(need) = self.need(index) {
                lines.push(format!(
                    "{} on {}: {}, of each of them",
                    member.name,
                    numbers(self.allowed(index)),
                    sum(&need)
                ));
            }
        }
        lines
    }

    fn refusal(&self, cpus: &[usize], victim: usize, need: &Need) -> Refusal {
        let name = self.members.get(victim).map_or("?", |member| &member.name);
        let message = format!(
            "pool `{}` has too little time for {name} if all may move",
            self.pool.name.get_ref()
        );
        // How long the others last was not counted further than to what is too long.
        let own = need.own + need.switching;
        let left = need.period.checked_sub(own).unwrap_or(Duration::MIN);
        let note = format!(
            "{name} may run on {}. Its budget of {} and {} for switching leave {} of each {}, and the others can keep all these CPUs busy at once for longer",
            numbers(self.allowed(victim)),
            human_time(need.own.as_ticks()),
            human_time(need.switching.as_ticks()),
            human_time(left.as_ticks()),
            human_time(need.period.as_ticks()),
        );
        let partitioned = rtds::admit(self.pool, cpus, self.members);
        let help = if matches!(partitioned, Some(Ok(_))) {
            "everything fits where nobody moves: `placement = \"partitioned\"`".to_owned()
        } else if let Some(budget) = self.budget_that_fits(victim) {
            format!(
                "a `budget` of {} for {name} fits; or add a CPU to the pool",
                human_time(budget)
            )
        } else {
            "lower the budgets, or add a CPU to the pool".to_owned()
        };
        let member = self.members.get(victim);
        let budget = member.and_then(|member| member.raw.budget.as_ref());
        let span = budget.map_or(self.pool.name.span(), |budget| budget.span());
        let finding = Diagnostic::error(codes::NOT_SCHEDULABLE, message);
        (span, finding.note(note).help(help))
    }

    /// The largest budget, in whole microseconds, with which all fit.
    fn budget_that_fits(&self, victim: usize) -> Option<u64> {
        let raw = self.members.get(victim)?.raw;
        budget_of(raw, self.cost, |server| {
            let mut servers = self.servers.clone();
            if let Some(place) = servers.get_mut(victim) {
                *place = server;
            }
            Set { servers, ..*self }.worst().is_none()
        })
    }

    fn too_wide(&self, cpus: usize) -> Refusal {
        let most = PcpuSet::MOST;
        let message = format!(
            "pool `{}` is too wide for virtual CPUs that move",
            self.pool.name.get_ref()
        );
        let finding = Diagnostic::error(codes::NOT_SCHEDULABLE, message)
            .found(format!("{cpus} CPUs"))
            .expected(format!("at most {most}"))
            .help("divide the pool, or let nobody move: `placement = \"partitioned\"`");
        (self.pool.name.span(), finding)
    }
}

fn numbers(cpus: &[usize]) -> String {
    let numbers: Vec<String> = cpus.iter().map(usize::to_string).collect();
    match numbers.as_slice() {
        [one] => format!("CPU {one}"),
        all => format!("CPUs {}", all.join(", ")),
    }
}
