//! Rtds pools: each virtual CPU on one physical CPU, on which all get their budgets.

use ::rtds::admission::{Need, PlaceError, Server, need, place};
use embassy_time::Duration;

use super::share::per_cent;
use super::{Member, PoolAdmission, Refusal, decided};
use crate::codes;
use crate::diagnostics::Diagnostic;
use crate::raw::RawVcpu;
use crate::raw::pool::RawPool;
use crate::raw::quantity::human_time;

/// The most priority levels that a system file has.
const LEVELS: u8 = 8;

/// `None` when a rule about budgets is broken.
pub(super) fn admit(
    pool: &RawPool,
    cpus: &[usize],
    members: &[Member<'_>],
) -> Option<Result<PoolAdmission, Refusal>> {
    let servers: Option<Vec<Server>> = members.iter().map(|member| server(member.raw)).collect();
    let set = Set {
        cpus,
        members,
        servers: servers?,
    };
    Some(match set.place() {
        Ok(homes) => Ok(decided(cpus, members, &homes, |cpu, here| {
            set.argue(cpu, here)
        })),
        Err(error) => Err(set.refusal(pool, error)),
    })
}

fn server(raw: &RawVcpu) -> Option<Server> {
    let period = Duration::from_ticks(*raw.period.as_ref()?.get_ref());
    let budget = Duration::from_ticks(*raw.budget.as_ref()?.get_ref());
    let priority = raw
        .priority
        .as_ref()
        .map_or(0, |priority| *priority.get_ref());
    Server::new(period, budget, u8::try_from(priority).ok()?).ok()
}

/// Virtual CPUs with budgets, and the CPUs that they share.
struct Set<'a> {
    cpus: &'a [usize],
    members: &'a [Member<'a>],
    servers: Vec<Server>,
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
            |item, cpu, homes| self.fits(item, cpu, homes),
        )?;
        Ok(homes
            .iter()
            .flatten()
            .filter_map(|place| self.cpus.get(*place).copied())
            .collect())
    }

    fn may_run(&self, item: usize, cpu: usize) -> bool {
        let pair = self.members.get(item).zip(self.cpus.get(cpu));
        pair.is_some_and(|(member, cpu)| member.allowed.contains(cpu))
    }

    fn fits(&self, item: usize, cpu: usize, homes: &[Option<usize>]) -> bool {
        self.may_run(item, cpu) && self.worst(item, cpu, homes).is_none()
    }

    /// Who on that CPU misses most when the item joins: its place and what it needs.
    fn worst(&self, item: usize, cpu: usize, homes: &[Option<usize>]) -> Option<(usize, Need)> {
        let there = homes
            .iter()
            .enumerate()
            .filter(|(_, home)| **home == Some(cpu));
        let mut all: Vec<usize> = there.map(|(index, _)| index).collect();
        all.push(item);
        let needs = all.iter().map(|index| (*index, self.need(*index, &all)));
        let missing = needs.filter_map(|(index, need)| Some((index, need?)));
        missing
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
                let spare = need
                    .period
                    .as_ticks()
                    .saturating_sub(need.own.as_ticks())
                    .saturating_sub(need.others.as_ticks());
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
        let (PlaceError::Impossible(stuck) | PlaceError::GaveUp(stuck)) = error else {
            let finding = Diagnostic::error(codes::NOT_SCHEDULABLE, "the pool cannot be placed");
            return (pool.name.span(), finding);
        };
        let homes = self.first_fit_before(stuck);
        let name = self.name(stuck);
        let message = format!(
            "pool `{}` has too little time for {name}",
            pool.name.get_ref()
        );
        let mut finding = Diagnostic::error(codes::NOT_SCHEDULABLE, message);
        for (index, cpu) in self
            .cpus
            .iter()
            .enumerate()
            .filter(|(index, _)| self.may_run(stuck, *index))
        {
            if let Some((victim, need)) = self.worst(stuck, index, &homes) {
                let excess = need.excess().map_or(0, |excess| excess.as_ticks());
                finding = finding.note(format!(
                    "CPU {cpu}: {}: {}, {} too much",
                    self.name(victim),
                    sum(&need),
                    human_time(excess)
                ));
            }
        }
        if matches!(error, PlaceError::GaveUp(_)) {
            finding = finding
                .note("not every combination was tried; `affinity` can say where each one runs");
        }
        let help = match (
            self.priorities_that_fit(),
            self.budget_that_fits(stuck, &homes),
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
        let budget = self
            .members
            .get(stuck)
            .and_then(|member| member.raw.budget.as_ref());
        let span = budget.map_or(pool.name.span(), |budget| budget.span());
        (span, finding.help(help))
    }

    fn name(&self, index: usize) -> &str {
        self.members.get(index).map_or("?", |member| &member.name)
    }

    /// Where first fit puts those before the one for which it finds no place.
    fn first_fit_before(&self, stuck: usize) -> Vec<Option<usize>> {
        let mut homes = vec![None; self.servers.len()];
        for item in self.order().into_iter().take_while(|item| *item != stuck) {
            let home = (0..self.cpus.len()).find(|cpu| self.fits(item, *cpu, &homes));
            if let Some(place) = homes.get_mut(item) {
                *place = home;
            }
        }
        homes
    }

    /// The largest budget, in whole microseconds, with which one fits beside those that are placed.
    fn budget_that_fits(&self, stuck: usize, homes: &[Option<usize>]) -> Option<u64> {
        const MICROSECOND: u64 = 1_000;
        let raw = self.members.get(stuck)?.raw;
        let fits = |budget: u64| {
            let mut servers = self.servers.clone();
            let period = Duration::from_ticks(*raw.period.as_ref()?.get_ref());
            let priority =
                u8::try_from(raw.priority.as_ref().map_or(0, |one| *one.get_ref())).ok()?;
            *servers.get_mut(stuck)? =
                Server::new(period, Duration::from_ticks(budget * MICROSECOND), priority).ok()?;
            let set = Set { servers, ..*self };
            (0..self.cpus.len())
                .any(|cpu| set.fits(stuck, cpu, homes))
                .then_some(())
        };
        // A smaller budget takes less from everyone, so the budgets that fit are all below one that does not.
        let (mut good, mut bad) = (0, *raw.budget.as_ref()?.get_ref() / MICROSECOND + 1);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            match fits(middle) {
                Some(()) => good = middle,
                None => bad = middle,
            }
        }
        // Less than the schema allows is no way out.
        (good >= 10).then_some(good * MICROSECOND)
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
            servers.push(Server::new(Duration::from_ticks(period), budget, level).ok()?);
            names.push(format!("`priority = {level}` for {}", member.name));
        }
        let set = Set { servers, ..*self };
        set.place().ok()?;
        Some(names.join(", "))
    }
}

/// The two sides of the test.
fn sum(need: &Need) -> String {
    let [own, others, period] =
        [need.own, need.others, need.period].map(|time| human_time(time.as_ticks()));
    format!("its {own} and at most {others} of the others in each {period}")
}
