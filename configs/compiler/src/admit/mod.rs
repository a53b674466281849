//! Admission: a physical CPU for each virtual CPU, with the argument why all of them get the time that they are promised.

mod cyclic;
mod dedicated;
mod global;
mod rtds;
mod share;

use std::ops::Range;

use ::rtds::admission::{PlaceError, Placing};
use toml::Spanned;

use crate::diagnostics::Diagnostic;
use crate::raw::pool::RawPool;
use crate::raw::{PoolPolicy, RawSystem, RawVcpu};

/// What admission decided.
#[derive(Debug)]
pub(crate) struct Admission {
    /// For each pool of the file; `None` when its rules are broken, which is reported.
    pub pools: Vec<Option<PoolAdmission>>,
}

/// What admission decided for one pool.
#[derive(Debug)]
pub(crate) struct PoolAdmission {
    /// The physical CPUs on which each of its virtual CPUs runs, its home first. Only in global pools they are several.
    pub homes: Vec<(VcpuId, Vec<usize>)>,
    /// Why all get what they are promised, one statement a line.
    pub argument: Vec<String>,
    /// Board indices of the CPUs on which something runs, in the pool's order.
    pub cpus: Vec<usize>,
}

/// A virtual CPU by its partition's place in the file and its own among that partition's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VcpuId {
    pub partition: usize,
    pub vcpu: usize,
}

impl Admission {
    /// The physical CPUs on which a virtual one runs, its home first.
    pub fn homes(&self, id: VcpuId) -> Option<&[usize]> {
        let homes = self.pools.iter().flatten().flat_map(|pool| &pool.homes);
        homes
            .into_iter()
            .find(|(one, _)| *one == id)
            .map(|(_, homes)| homes.as_slice())
    }
}

/// A virtual CPU that asks for a place in a pool.
struct Member<'a> {
    id: VcpuId,
    /// `linux/0`.
    name: String,
    raw: &'a RawVcpu,
    /// CPUs of the pool on which it may run, in the order in which they are tried.
    allowed: Vec<usize>,
}

impl Member<'_> {
    /// Where a fault of its times is shown.
    fn span(&self) -> Range<usize> {
        self.raw.span.clone()
    }
}

/// Finds a place for every virtual CPU, and says of each pool why there is none. Pools whose own rules are broken are left out.
pub(crate) fn admit(system: &RawSystem) -> (Admission, Vec<Refusal>) {
    let mut refusals = Vec::new();
    let decide = |pool| {
        let (cpus, members) = members(system, pool)?;
        let decided = match pool.policy.as_ref()?.get_ref() {
            PoolPolicy::Dedicated => dedicated::admit(pool, &cpus, &members)?,
            PoolPolicy::Rtds if pool.is_global() => global::admit(pool, &cpus, &members)?,
            PoolPolicy::Rtds => rtds::admit(pool, &cpus, &members)?,
            PoolPolicy::Cyclic => cyclic::admit(pool, &cpus, &members)?,
        };
        decided.map_err(|refusal| refusals.push(refusal)).ok()
    };
    let pools = system.pools.iter().map(decide).collect();
    (Admission { pools }, refusals)
}

/// Puts each item on the first CPU that it fits, and leaves out those that fit none.
fn first_fit(items: impl Iterator<Item = usize>, cpus: usize, placing: &mut impl Placing) {
    for item in items {
        if let Some(cpu) = (0..cpus).find(|cpu| placing.fits(item, *cpu)) {
            placing.put(item, cpu);
        }
    }
}

/// The first one that first fit could not place.
fn stuck(error: PlaceError) -> usize {
    match error {
        PlaceError::Impossible(item) | PlaceError::GaveUp(item) => item,
        PlaceError::BadOrder => 0,
    }
}

/// What to add when the search ended early.
fn gave_up(error: PlaceError) -> Option<&'static str> {
    let note = "not every combination was tried; `affinity` can say where each one runs";
    matches!(error, PlaceError::GaveUp(_)).then_some(note)
}

/// Why a virtual CPU has no place, and where that is shown.
pub(crate) type Refusal = (Range<usize>, Diagnostic);

/// More CPUs than a board has, and more virtual CPUs than 255 partitions of 8 have: rules refuse both, and nothing grows with them here.
const TOO_MANY_CPUS: usize = 1025;
const TOO_MANY_VCPUS: usize = 255 * model::partition::MOST_VCPUS + 1;

/// The CPUs of a pool and its virtual CPUs. `None` when the rules about them are broken.
fn members<'a>(system: &'a RawSystem, pool: &RawPool) -> Option<(Vec<usize>, Vec<Member<'a>>)> {
    let cpus = pool.cpus.as_ref()?.get_ref();
    let cpus: Vec<usize> = cpus.iter().map(|cpu| *cpu.get_ref() as usize).collect();
    let mut sorted = cpus.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != cpus.len() || cpus.len() >= TOO_MANY_CPUS {
        return None;
    }
    let in_pool = |name: &Spanned<String>| name.get_ref() == pool.name.get_ref();
    let mut members = Vec::new();
    for (index, partition) in system.partitions.iter().enumerate() {
        if partition.vcpus.is_empty() && partition.pools().into_iter().any(in_pool) {
            return None;
        }
        let title = partition.name.as_ref().map_or("?", |name| name.get_ref());
        for (number, raw) in partition.vcpus.iter().enumerate() {
            if !raw.pool.as_ref().is_some_and(in_pool) {
                continue;
            }
            members.push(Member {
                id: VcpuId {
                    partition: index,
                    vcpu: number,
                },
                name: format!("{title}/{number}"),
                raw,
                allowed: allowed(raw, &cpus)?,
            });
            if members.len() >= TOO_MANY_VCPUS {
                return None;
            }
        }
    }
    Some((cpus, members))
}

/// The CPUs of the pool on which a virtual CPU may run. `None` when its affinity is wrong.
fn allowed(raw: &RawVcpu, cpus: &[usize]) -> Option<Vec<usize>> {
    let Some(list) = &raw.affinity else {
        return Some(cpus.to_vec());
    };
    let list: Vec<usize> = list
        .get_ref()
        .iter()
        .map(|cpu| *cpu.get_ref() as usize)
        .collect();
    let good = !list.is_empty() && list.iter().all(|cpu| cpus.contains(cpu));
    good.then_some(list)
}

/// Puts what was decided together: `homes` has the CPU of each member, `argue` says why those on a CPU fit there.
fn decided(
    cpus: &[usize],
    members: &[Member<'_>],
    homes: &[usize],
    argue: impl Fn(usize, &[usize]) -> Vec<String>,
) -> PoolAdmission {
    let ids = members.iter().map(|member| member.id);
    let mut admission = PoolAdmission {
        homes: ids.zip(homes.iter().map(|home| vec![*home])).collect(),
        argument: Vec::new(),
        cpus: Vec::new(),
    };
    for cpu in cpus {
        let here: Vec<usize> = (0..members.len())
            .filter(|index| homes.get(*index) == Some(cpu))
            .collect();
        if !here.is_empty() {
            admission.argument.extend(argue(*cpu, &here));
            admission.cpus.push(*cpu);
        }
    }
    admission
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::diagnostics::{Diagnostics, SourceText};
    use crate::raw::system;

    fn admit_text(text: &str) -> (Admission, Vec<Refusal>) {
        let source = SourceText::new(Path::new("t.toml"), text);
        admit(&system::read(&source, &mut Diagnostics::default()))
    }

    fn partitions(count: usize, fields: &str) -> String {
        let one = |index: usize| {
            format!(
                "[[partition]]\nname = \"p{index}\"\npool = \"p\"\nmemory = \"1MiB\"\nimage = \"i\"\n{fields}\n"
            )
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn largest_system_is_admitted_to_one_cpu() {
        let pool = "[pools.p]\ncpus = [0]\npolicy = \"rtds\"\n";
        let fields = "vcpus = 8\nperiod = \"1h\"\nbudget = \"10us\"";
        let (admission, refusals) = admit_text(&format!("{pool}{}", partitions(255, fields)));
        assert!(refusals.is_empty());
        let homes = admission.pools[0].as_ref().map(|pool| pool.homes.len());
        assert_eq!(homes, Some(2040));
    }

    #[test]
    fn set_that_no_search_finishes_is_refused_with_a_note() {
        // 40 shares of 0.3 never fit 13 CPUs, and there are too many combinations to try them all.
        let cpus: Vec<usize> = (0..13).collect();
        let pool = format!("[pools.p]\ncpus = {cpus:?}\npolicy = \"rtds\"\n");
        let fields = "period = \"10ms\"\nbudget = \"3ms\"";
        let (_, refusals) = admit_text(&format!("{pool}{}", partitions(40, fields)));
        assert_eq!(refusals.len(), 1);
        let notes = refusals[0].1.notes.join("\n");
        assert!(notes.contains("not every combination was tried"), "{notes}");
    }

    #[test]
    fn more_partitions_than_a_system_can_have_are_left_to_their_rule() {
        let pool = "[pools.p]\ncpus = [0]\npolicy = \"rtds\"\n";
        let fields = "vcpus = 8\nperiod = \"1h\"\nbudget = \"10us\"";
        let (admission, refusals) = admit_text(&format!("{pool}{}", partitions(256, fields)));
        assert!(admission.pools[0].is_none());
        assert!(refusals.is_empty());
    }
}
