//! Dedicated pools: each virtual CPU gets a physical one to itself. A matching by augmenting paths, so that a place is found whenever
//! there is one (Kuhn, "The Hungarian method for the assignment problem", 1955; Hall's theorem names the conflict otherwise).

use std::collections::BTreeMap;

use super::{Member, PoolAdmission, Refusal, decided};
use crate::codes;
use crate::diagnostics::Diagnostic;
use crate::raw::pool::RawPool;

/// `None` when there are more virtual CPUs than physical ones, which is a rule of its own.
pub(super) fn admit(
    pool: &RawPool,
    cpus: &[usize],
    members: &[Member<'_>],
) -> Option<Result<PoolAdmission, Refusal>> {
    if members.len() > cpus.len() {
        return None;
    }
    let allowed: Vec<&[usize]> = members
        .iter()
        .map(|member| member.allowed.as_slice())
        .collect();
    Some(match assign(&allowed) {
        Ok(homes) => Ok(decided(cpus, members, &homes, |cpu, here| {
            let owners = here.iter().filter_map(|index| members.get(*index));
            owners
                .map(|owner| format!("CPU {cpu} runs {} and nothing else", owner.name))
                .collect()
        })),
        Err(conflict) => Err(refusal(pool, members, &conflict)),
    })
}

/// A set of virtual CPUs for which there are too few physical ones.
#[derive(Debug, PartialEq, Eq)]
struct Conflict {
    members: Vec<usize>,
    cpus: Vec<usize>,
}

/// A CPU for each list of CPUs, none twice: the first free ones where that is possible.
fn assign(allowed: &[&[usize]]) -> Result<Vec<usize>, Conflict> {
    let mut homes: Vec<Option<usize>> = vec![None; allowed.len()];
    let mut owners: BTreeMap<usize, usize> = BTreeMap::new();
    for newcomer in 0..allowed.len() {
        // By whose list each CPU was reached on the way to a free one.
        let mut reached: BTreeMap<usize, usize> = BTreeMap::new();
        let mut waiting = vec![newcomer];
        let mut next = 0;
        let mut free = None;
        while let Some(&member) = waiting.get(next).filter(|_| free.is_none()) {
            next += 1;
            for cpu in allowed.get(member).copied().unwrap_or_default() {
                if reached.contains_key(cpu) {
                    continue;
                }
                reached.insert(*cpu, member);
                match owners.get(cpu) {
                    Some(owner) => waiting.push(*owner),
                    None => {
                        free = Some(*cpu);
                        break;
                    }
                }
            }
        }
        let Some(free) = free else {
            waiting.sort_unstable();
            return Err(Conflict {
                members: waiting,
                cpus: reached.into_keys().collect(),
            });
        };
        // Each on the way moves to the CPU by which it led on.
        let mut moving = Some(free);
        while let Some((cpu, member)) = moving.and_then(|cpu| Some((cpu, *reached.get(&cpu)?))) {
            owners.insert(cpu, member);
            moving = homes.get_mut(member).and_then(|home| home.replace(cpu));
        }
    }
    Ok(homes.into_iter().flatten().collect())
}

fn refusal(pool: &RawPool, members: &[Member<'_>], conflict: &Conflict) -> Refusal {
    let involved: Vec<&Member<'_>> = conflict
        .members
        .iter()
        .filter_map(|index| members.get(*index))
        .collect();
    let names: Vec<&str> = involved.iter().map(|member| member.name.as_str()).collect();
    let cpus: Vec<String> = conflict.cpus.iter().map(usize::to_string).collect();
    let cpus = match cpus.as_slice() {
        [] => "no CPU".to_owned(),
        [one] => format!("CPU {one}"),
        all => format!("CPUs {}", all.join(", ")),
    };
    let last = involved.last();
    let span = last.map_or(pool.name.span(), |member| {
        let affinity = member.raw.affinity.as_ref();
        affinity.map_or(member.span(), |list| list.span())
    });
    let message = format!(
        "pool `{}` has no CPU of its own for each of {}",
        pool.name.get_ref(),
        names.join(", ")
    );
    let finding = Diagnostic::error(codes::NO_CPU_LEFT, message)
        .found(format!(
            "{} virtual CPUs that may run on {cpus} only",
            names.len()
        ))
        .help("let one of them run on other CPUs: change its `affinity`, or add CPUs to the pool");
    (span, finding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(lists: &[Vec<usize>]) -> Result<Vec<usize>, Conflict> {
        let lists: Vec<&[usize]> = lists.iter().map(Vec::as_slice).collect();
        assign(&lists)
    }

    #[test]
    fn everyone_takes_the_first_free_cpu_where_that_works() {
        assert_eq!(of(&[vec![0, 1, 2], vec![0, 1, 2]]), Ok(vec![0, 1]));
        assert_eq!(of(&[]), Ok(vec![]));
    }

    #[test]
    fn earlier_one_moves_when_a_later_one_has_no_choice() {
        assert_eq!(of(&[vec![0, 1], vec![0]]), Ok(vec![1, 0]));
        assert_eq!(of(&[vec![0, 1], vec![1, 2], vec![0]]), Ok(vec![1, 2, 0]));
    }

    #[test]
    fn conflict_names_exactly_those_who_compete() {
        let conflict = Conflict {
            members: vec![1, 2],
            cpus: vec![3],
        };
        assert_eq!(of(&[vec![0, 1], vec![3], vec![3]]), Err(conflict));
    }

    proptest! {
        #[test]
        fn assignment_is_right_and_each_conflict_is_real(
            lists in prop::collection::vec(prop::collection::btree_set(0usize..5, 0..4), 0..6),
        ) {
            let lists: Vec<Vec<usize>> = lists.into_iter().map(|set| set.into_iter().collect()).collect();
            match of(&lists) {
                Ok(homes) => {
                    prop_assert_eq!(homes.len(), lists.len());
                    for (index, home) in homes.iter().enumerate() {
                        prop_assert!(lists[index].contains(home));
                        prop_assert!(!homes[..index].contains(home));
                    }
                }
                // Fewer CPUs than those who may run on nothing else: Hall's condition is broken.
                Err(conflict) => {
                    prop_assert!(conflict.members.len() > conflict.cpus.len());
                    for member in &conflict.members {
                        prop_assert!(lists[*member].iter().all(|cpu| conflict.cpus.contains(cpu)));
                    }
                }
            }
        }
    }
}
