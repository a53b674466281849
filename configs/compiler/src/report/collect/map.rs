//! An address space in which every byte is taken once.

use std::collections::BTreeMap;

use super::super::facts::{MapEntry, MapKind, Owner};
use crate::range::AddressRange;

/// A growing map: who claims a byte first has it.
#[derive(Debug, Default)]
pub(super) struct Map {
    entries: Vec<MapEntry>,
    /// All that is taken, as disjoint ranges that do not touch: from the first byte to the first behind. However often the same bytes
    /// are claimed, this stays small.
    taken: BTreeMap<u64, u64>,
}

impl Map {
    /// Adds what nobody has yet of these bytes.
    pub fn claim(&mut self, bytes: AddressRange, kind: MapKind, owner: &Owner, what: &str) {
        let before = self.taken.range(..=bytes.end()).rev();
        let touching = before.take_while(|(_, end)| **end >= bytes.base);
        let mut touching: Vec<(u64, u64)> = touching.map(|(base, end)| (*base, *end)).collect();
        touching.reverse();
        let (mut first, mut last) = (bytes.base, bytes.end());
        let mut cursor = bytes.base;
        for (base, end) in touching {
            self.add(cursor, base, kind, owner, what);
            cursor = cursor.max(end);
            (first, last) = (first.min(base), last.max(end));
            self.taken.remove(&base);
        }
        self.add(cursor, bytes.end(), kind, owner, what);
        self.taken.insert(first, last);
    }

    /// The entries by address.
    pub fn finish(mut self) -> Vec<MapEntry> {
        self.entries.sort_by_key(|entry| entry.base);
        self.entries
    }

    fn add(&mut self, base: u64, end: u64, kind: MapKind, owner: &Owner, what: &str) {
        if let Some(bytes) = AddressRange::between(base, end) {
            self.entries.push(MapEntry {
                base: bytes.base,
                size: bytes.size,
                kind,
                owner: owner.clone(),
                what: what.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Claims these ranges in order; returns base, end and claim of each entry.
    fn claimed(claims: &[(u64, u64)]) -> Vec<(u64, u64, String)> {
        let mut map = Map::default();
        for (index, (base, end)) in claims.iter().enumerate() {
            let bytes = AddressRange::between(*base, *end).unwrap();
            map.claim(bytes, MapKind::Ram, &Owner::Nobody, &index.to_string());
        }
        let entry = |entry: MapEntry| (entry.base, entry.end(), entry.what);
        map.finish().into_iter().map(entry).collect()
    }

    #[test]
    fn later_claim_gets_what_is_left_around_earlier_ones() {
        let entries = claimed(&[(10, 20), (30, 40), (0, 50), (5, 45)]);
        let expected = [
            (0, 10, "2"),
            (10, 20, "0"),
            (20, 30, "2"),
            (30, 40, "1"),
            (40, 50, "2"),
        ];
        assert_eq!(
            entries,
            expected.map(|(base, end, what)| (base, end, what.to_owned()))
        );
    }

    #[test]
    fn claim_inside_another_gets_nothing() {
        assert_eq!(claimed(&[(0, 100), (10, 20), (99, 100)]).len(), 1);
    }

    #[test]
    fn claim_that_overlaps_an_end_gets_the_rest() {
        let entries = claimed(&[(10, 20), (15, 25), (5, 12)]);
        assert_eq!(
            entries.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>(),
            [(5, 10), (10, 20), (20, 25)]
        );
    }
}
