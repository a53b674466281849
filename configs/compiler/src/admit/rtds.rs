//! Rtds pools: each virtual CPU on one physical CPU, on which all get their budgets.

use ::rtds::admission::{Need, PlaceError, Placing, Server, need, place};
use embassy_time::Duration;

use super::share::per_cent;
use super::{Member, PoolAdmission, Refusal, decided, first_fit, gave_up, stuck};
use crate::codes;
use crate::diagnostics::Diagnostic;
use crate::raw::RawVcpu;
use crate::raw::pool::RawPool;
use crate::raw::quantity::human_time;

/// The most priority levels that a system file has.
const LEVELS: u8 = 8;

/// What a physical CPU loses around each budget, in nanoseconds, where the pool does not say it: twice the 2,400 instructions that QEMU
/// executes from an interrupt until the next virtual CPU runs, taken as nanoseconds.
pub(super) const SWITCH_COST: u64 = 5_000;

/// `None` when a rule about budgets is broken.
pub(super) fn admit(
    pool: &RawPool,
    cpus: &[usize],
    members: &[Member<'_>],
) -> Option<Result<PoolAdmission, Refusal>> {
    let cost = pool
        .switch_cost
        .as_ref()
        .map_or(SWITCH_COST, |cost| *cost.get_ref());
    let cost = Duration::from_ticks(cost);
    let servers = members.iter().map(|member| server(member.raw, cost));
    let set = Set {
        cpus,
        members,
        servers: servers.collect::<Option<Vec<Server>>>()?,
        cost,
    };
    Some(match set.place() {
        Ok(homes) => Ok(decided(cpus, members, &homes, |cpu, here| {
            set.argue(cpu, here)
        })),
        Err(error) => Err(set.refusal(pool, error)),
    })
}

pub(super) fn server(raw: &RawVcpu, cost: Duration) -> Option<Server> {
    let period = Duration::from_ticks(*raw.period.as_ref()?.get_ref());
    let budget = Duration::from_ticks(*raw.budget.as_ref()?.get_ref());
    let priority = raw
        .priority
        .as_ref()
        .map_or(0, |priority| *priority.get_ref());
    let server = Server::new(period, budget, u8::try_from(priority).ok()?).ok()?;
    Some(server.with_switch_cost(cost))
}

/// Virtual CPUs with budgets, and the CPUs that they share.
struct Set<'a> {
    cpus: &'a [usize],
    members: &'a [Member<'a>],
    servers: Vec<Server>,
    /// What a CPU loses around each budget.
    cost: Duration,
}

impl Set<'_> {
    /// First fit decreasing: the largest utilisation first, then the order of the file.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        order.sort_by(|a, b| match (self.servers.get(*a), self.servers.get(*b)) {
            (Some(a), Some(b)) => a.by_decreasing_utilisation(b),
            _ => a.cmp(b),
        });
        order
    }

    /// Board indices of the CPUs of all, in the order of the members.
    fn place(&self) -> Result<Vec<usize>, PlaceError> {
        let mut homes = vec![None; self.servers.len()];
        place(
            &self.order(),
            self.cpus.len(),
            &mut homes,
            &mut Packing::new(self),
        )?;
        let places = homes.iter().flatten();
        Ok(places
            .filter_map(|place| self.cpus.get(*place).copied())
            .collect())
    }

    fn may_run(&self, item: usize, cpu: usize) -> bool {
        let pair = self.members.get(item).zip(self.cpus.get(cpu));
        pair.is_some_and(|(member, cpu)| member.allowed.contains(cpu))
    }

    /// Who misses most when the item joins those on a CPU: its place and what it needs.
    fn worst(&self, item: usize, here: &[usize]) -> Option<(usize, Need)> {
        let mut all = here.to_vec();
        all.push(item);
        let needs = all
            .iter()
            .filter_map(|index| Some((*index, self.need(*index, &all)?)));
        needs
            .filter_map(|(index, need)| Some((need.excess()?, index, need)))
            .max_by_key(|(excess, index, _)| (*excess, *index))
            .map(|(_, index, need)| (index, need))
    }

    /// What one of those on a CPU needs there.
    fn need(&self, index: usize, all: &[usize]) -> Option<Need> {
        let others = all.iter().filter(|other| **other != index);
        let others = others.filter_map(|other| self.servers.get(*other));
        Some(need(self.servers.get(index)?, others))
    }

    fn argue(&self, cpu: usize, here: &[usize]) -> Vec<String> {
        let servers = here.iter().filter_map(|index| self.servers.get(*index));
        let total = per_cent(servers.map(Server::utilisation_ppm).sum());
        let mut lines = vec![format!("CPU {cpu}: {total} of its time is promised")];
        for index in here {
            if let (Some(member), Some(need)) = (self.members.get(*index), self.need(*index, here))
            {
                let parts = [need.own, need.switching, need.others].map(|part| part.as_ticks());
                let spare = parts
                    .into_iter()
                    .fold(need.period.as_ticks(), u64::saturating_sub);
                lines.push(format!(
                    "CPU {cpu}: {}: {}, {} are to spare",
                    member.name,
                    sum(&need),
                    human_time(spare)
                ));
            }
        }
        lines
    }

    fn refusal(&self, pool: &RawPool, error: PlaceError) -> Refusal {
        let stuck = stuck(error);
        let mut packing = Packing::new(self);
        let before = self.order().into_iter().take_while(|item| *item != stuck);
        first_fit(before, self.cpus.len(), &mut packing);
        let name = self.name(stuck);
        let message = format!(
            "pool `{}` has too little time for {name}",
            pool.name.get_ref()
        );
        let mut finding = Diagnostic::error(codes::NOT_SCHEDULABLE, message);
        let cpus = self.cpus.iter().zip(&packing.here).enumerate();
        for (_, (cpu, here)) in cpus.filter(|(index, _)| self.may_run(stuck, *index)) {
            if let Some((victim, need)) = self.worst(stuck, here) {
                let excess = need.excess().map_or(0, |excess| excess.as_ticks());
                let (victim, sum, excess) = (self.name(victim), sum(&need), human_time(excess));
                finding = finding.note(format!("CPU {cpu}: {victim}: {sum}, {excess} too much"));
            }
        }
        finding.notes.extend(gave_up(error).map(str::to_owned));
        let help = match (
            self.priorities_that_fit(),
            self.budget_that_fits(stuck, &packing),
        ) {
            (Some(priorities), _) => {
                format!("everything fits when short periods are more urgent: {priorities}")
            }
            (None, Some(budget)) => format!(
                "a `budget` of {} for {name} fits; or add a CPU to the pool",
                human_time(budget)
            ),
            (None, None) => "lower the budgets, or add a CPU to the pool".to_owned(),
        };
        let member = self.members.get(stuck);
        let budget = member.and_then(|member| member.raw.budget.as_ref());
        let span = budget.map_or(pool.name.span(), |budget| budget.span());
        (span, finding.help(help))
    }

    fn name(&self, index: usize) -> &str {
        self.members.get(index).map_or("?", |member| &member.name)
    }

    /// The largest budget, in whole microseconds, with which one fits beside those that are placed.
    fn budget_that_fits(&self, stuck: usize, packing: &Packing<'_>) -> Option<u64> {
        let raw = self.members.get(stuck)?.raw;
        let cpus: Vec<usize> = (0..self.cpus.len())
            .filter(|cpu| self.may_run(stuck, *cpu))
            .collect();
        budget_of(raw, self.cost, |server| {
            cpus.iter().any(|cpu| packing.holds(&server, *cpu))
        })
    }

    /// Priorities by period with which all fit, if there are any and they are others than the file's.
    fn priorities_that_fit(&self) -> Option<String> {
        let period = |index: usize| Some(*self.members.get(index)?.raw.period.as_ref()?.get_ref());
        let mut periods: Vec<u64> = (0..self.servers.len()).filter_map(period).collect();
        periods.sort_unstable();
        periods.dedup();
        let mut servers = Vec::new();
        let mut names = Vec::new();
        for member in self.members {
            let period = *member.raw.period.as_ref()?.get_ref();
            let level = u8::try_from(periods.iter().position(|one| *one == period)?)
                .ok()?
                .min(LEVELS - 1);
            let budget = Duration::from_ticks(*member.raw.budget.as_ref()?.get_ref());
            let server = Server::new(Duration::from_ticks(period), budget, level).ok()?;
            servers.push(server.with_switch_cost(self.cost));
            names.push(format!("`priority = {level}` for {}", member.name));
        }
        let set = Set { servers, ..*self };
        set.place().ok()?;
        Some(names.join(", "))
    }
}

/// The largest budget, in whole microseconds of nanoseconds, with which a virtual CPU fits.
pub(super) fn budget_of(
    raw: &RawVcpu,
    cost: Duration,
    fits: impl Fn(Server) -> bool,
) -> Option<u64> {
    const MICROSECOND: u64 = 1_000;
    /// The schema allows no less.
    const LEAST: u64 = 10;
    let period = Duration::from_ticks(*raw.period.as_ref()?.get_ref());
    let priority = raw.priority.as_ref().map_or(0, |one| *one.get_ref());
    let priority = u8::try_from(priority).ok()?;
    let fits = |budget: u64| {
        let budget = Duration::from_ticks(budget * MICROSECOND);
        let server = Server::new(period, budget, priority);
        server.is_ok_and(|server| fits(server.with_switch_cost(cost)))
    };
    // A smaller budget takes less from everyone, so the budgets that fit are all below one that does not.
    let (mut good, mut bad) = (0, *raw.budget.as_ref()?.get_ref() / MICROSECOND + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    (good >= LEAST).then_some(good * MICROSECOND)
}

/// Who is on each CPU, and what the others there take from each, so that one more is looked at in one pass.
struct Packing<'a> {
    set: &'a Set<'a>,
    here: Vec<Vec<usize>>,
    /// For each member that is placed, in nanoseconds of each of its periods.
    lost: Vec<u64>,
}

impl<'a> Packing<'a> {
    fn new(set: &'a Set<'a>) -> Self {
        Self {
            set,
            here: vec![Vec::new(); set.cpus.len()],
            lost: vec![0; set.servers.len()],
        }
    }

    /// Those on a CPU: place, server, and what it loses.
    fn there(&self, cpu: usize) -> impl Iterator<Item = (usize, &Server, u64)> {
        let here = self.here.get(cpu).into_iter().flatten();
        here.filter_map(|index| {
            let (server, lost) = (self.set.servers.get(*index)?, self.lost.get(*index)?);
            Some((*index, server, *lost))
        })
    }

    /// True when all on that CPU and the newcomer get their budgets.
    fn holds(&self, newcomer: &Server, cpu: usize) -> bool {
        let own = need(newcomer, self.there(cpu).map(|(_, server, _)| server));
        own.excess().is_none()
            && self.there(cpu).all(|(_, server, lost)| {
                let more = server.loses_to(newcomer).as_ticks();
                let others = Duration::from_ticks(lost.saturating_add(more));
                let need = Need {
                    others,
                    ..need(server, [newcomer])
                };
                need.excess().is_none()
            })
    }

    /// Adds what one on a CPU takes from the others there, or takes it back.
    fn charge(&mut self, item: usize, cpu: usize, change: fn(u64, u64) -> u64) {
        let Some(server) = self.set.servers.get(item) else {
            return;
        };
        let others: Vec<usize> = self.here.get(cpu).cloned().unwrap_or_default();
        for other in others {
            let taken = self
                .set
                .servers
                .get(other)
                .map(|other| other.loses_to(server).as_ticks());
            if let (Some(lost), Some(taken)) = (self.lost.get_mut(other), taken) {
                *lost = change(*lost, taken);
            }
        }
    }
}

impl Placing for Packing<'_> {
    fn fits(&self, item: usize, cpu: usize) -> bool {
        let server = self.set.servers.get(item);
        self.set.may_run(item, cpu) && server.is_some_and(|server| self.holds(server, cpu))
    }

    fn put(&mut self, item: usize, cpu: usize) {
        self.charge(item, cpu, u64::saturating_add);
        let Some(server) = self.set.servers.get(item) else {
            return;
        };
        let own = need(server, self.there(cpu).map(|(_, server, _)| server));
        if let (Some(lost), Some(here)) = (self.lost.get_mut(item), self.here.get_mut(cpu)) {
            *lost = own.others.as_ticks();
            here.push(item);
        }
    }

    fn take(&mut self, item: usize, cpu: usize) {
        self.here.get_mut(cpu).and_then(Vec::pop);
        self.charge(item, cpu, u64::saturating_sub);
    }
}

/// The two sides of the test.
pub(super) fn sum(need: &Need) -> String {
    let [own, switching, others, period] = [need.own, need.switching, need.others, need.period]
        .map(|time| human_time(time.as_ticks()));
    match need.switching.as_ticks() {
        0 => format!("its {own} and at most {others} of the others in each {period}"),
        _ => format!(
            "its {own}, {switching} for switching and at most {others} of the others in each {period}"
        ),
    }
}
