//! A physical CPU for each virtual one.

/// How many combinations are tried before the search gives up.
pub const MOST_STEPS: u32 = 10_000;

/// Why no placement is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Every combination was tried. The number is that of the first one, in the given order, that first fit could not place.
    #[error("no combination fits")]
    Impossible(usize),
    /// Not every combination was tried. The number is that of the first one, in the given order, that first fit could not place.
    #[error("no combination was found")]
    GaveUp(usize),
    /// `homes` is shorter than `order`, or `order` names an item that `homes` does not have.
    #[error("a number is out of range")]
    BadOrder,
}

/// Where items go: it knows who is on which CPU, and who may join them.
pub trait Placing {
    /// True when the item may go to that CPU beside those that are there. What it refuses must stay refused when more are there.
    fn fits(&self, item: usize, cpu: usize) -> bool;
    /// The item, which fits, is on that CPU now.
    fn put(&mut self, item: usize, cpu: usize);
    /// The item, which came last of all, is no more on that CPU.
    fn take(&mut self, item: usize, cpu: usize);
}

/// Places the items that `order` lists on `cpus` CPUs: `homes[item]` becomes the CPU of each.
///
/// The first try is first fit; then the search goes back to earlier items, for at most [`MOST_STEPS`] steps.
///
/// # Errors
/// [`PlaceError`]; `homes` is all `None` then, and nothing is left on any CPU.
pub fn place(
    order: &[usize],
    cpus: usize,
    homes: &mut [Option<usize>],
    placing: &mut impl Placing,
) -> Result<(), PlaceError> {
    homes.fill(None);
    if order.iter().any(|item| *item >= homes.len()) {
        return Err(PlaceError::BadOrder);
    }
    let mut first_failure = None;
    let (mut depth, mut next_cpu, mut steps) = (0, 0, 0);
    while let Some(&item) = order.get(depth) {
        let found = (next_cpu..cpus).find(|cpu| {
            steps += 1;
            placing.fits(item, *cpu)
        });
        if let (Some(cpu), Some(home)) = (found, homes.get_mut(item)) {
            placing.put(item, cpu);
            *home = Some(cpu);
            (depth, next_cpu) = (depth + 1, 0);
            continue;
        }
        let failure = *first_failure.get_or_insert(item);
        // Back to the item before, which goes to a later CPU; after too many steps, back to the start.
        loop {
            let back = depth.checked_sub(1);
            let Some((back, before)) = back.and_then(|back| Some((back, *order.get(back)?))) else {
                return Err(match steps >= MOST_STEPS {
                    true => PlaceError::GaveUp(failure),
                    false => PlaceError::Impossible(failure),
                });
            };
            if let Some(cpu) = homes.get_mut(before).and_then(Option::take) {
                placing.take(before, cpu);
                next_cpu = cpu + 1;
            }
            depth = back;
            if steps < MOST_STEPS {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Bins<'a> {
        sizes: &'a [u32],
        loads: Vec<u32>,
    }

    impl Placing for Bins<'_> {
        fn fits(&self, item: usize, bin: usize) -> bool {
            self.loads[bin] + self.sizes[item] <= 10
        }

        fn put(&mut self, item: usize, bin: usize) {
            self.loads[bin] += self.sizes[item];
        }

        fn take(&mut self, item: usize, bin: usize) {
            self.loads[bin] -= self.sizes[item];
        }
    }

    /// Sizes into bins of 10.
    fn pack(sizes: &[u32], bins: usize) -> Result<Vec<usize>, PlaceError> {
        let order: Vec<usize> = (0..sizes.len()).collect();
        let mut homes = vec![None; sizes.len()];
        let loads = vec![0; bins];
        let mut bins_of_ten = Bins { sizes, loads };
        let result = place(&order, bins, &mut homes, &mut bins_of_ten);
        let on_bins: u32 = bins_of_ten.loads.iter().sum();
        let placed = homes.iter().zip(sizes).filter(|(home, _)| home.is_some());
        assert_eq!(on_bins, placed.map(|(_, size)| size).sum::<u32>());
        result?;
        Ok(homes.into_iter().map(Option::unwrap).collect())
    }

    #[test]
    fn first_fit_is_taken_when_it_works() {
        assert_eq!(pack(&[6, 5, 4, 5], 3), Ok(vec![0, 1, 0, 1]));
    }

    #[test]
    fn search_goes_on_where_first_fit_fails() {
        // First fit puts both 4s together, and the second 6 is left without a place.
        assert_eq!(pack(&[4, 4, 6, 6], 2), Ok(vec![0, 1, 0, 1]));
    }

    #[test]
    fn impossible_set_names_whom_first_fit_could_not_place() {
        assert_eq!(pack(&[6, 6, 6], 2), Err(PlaceError::Impossible(2)));
        assert_eq!(pack(&[1], 0), Err(PlaceError::Impossible(0)));
    }

    #[test]
    fn search_ends_after_a_bounded_number_of_steps() {
        let sizes = vec![3; 40];
        assert!(matches!(pack(&sizes, 13), Err(PlaceError::GaveUp(_))));
    }

    #[test]
    fn order_with_an_unknown_item_is_refused() {
        let mut bins = Bins {
            sizes: &[1],
            loads: vec![0],
        };
        let bad = place(&[1], 1, &mut [None], &mut bins);
        assert_eq!(bad, Err(PlaceError::BadOrder));
    }

    #[test]
    fn nothing_to_place_is_placed() {
        assert_eq!(pack(&[], 0), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn small_sets_are_placed_exactly_when_a_combination_exists(sizes in prop::collection::vec(1u32..=10, 0..6), bins in 1usize..4) {
            let combinations = bins.pow(sizes.len() as u32);
            let exists = (0..combinations).any(|mut code| {
                let mut loads = vec![0; bins];
                for size in &sizes {
                    loads[code % bins] += size;
                    code /= bins;
                }
                loads.iter().all(|load| *load <= 10)
            });
            prop_assert_eq!(pack(&sizes, bins).is_ok(), exists);
        }
    }
}
