//! A priority queue of virtual CPUs in a fixed array: a binary heap that knows where each one stands, so that any of them can be taken
//! out or given another key in O(log n), in the worst case too.

use crate::ids::VcpuIndex;
use crate::slots::{slot, slot_mut};

/// What a queue is sorted by.
pub trait Key: Copy + Ord {
    /// Any value: it fills slots that nobody has.
    const UNUSED: Self;
}

/// The place of one that is not queued.
const NOWHERE: u16 = u16::MAX;

/// Up to `N` virtual CPUs in the order of a key, the least first.
#[derive(Clone, Debug)]
pub struct Queue<K, const N: usize> {
    /// The key of each virtual CPU that is queued.
    keys: [K; N],
    /// Where each virtual CPU stands in `heap`, or [`NOWHERE`].
    places: [u16; N],
    /// Each is less than its children at twice its place plus one and two.
    heap: [u16; N],
    length: u16,
}

impl<K: Key, const N: usize> Default for Queue<K, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Key, const N: usize> Queue<K, N> {
    /// An empty queue.
    pub const fn new() -> Self {
        const { assert!(N > 0 && N < u16::MAX as usize) };
        Self {
            keys: [K::UNUSED; N],
            places: [NOWHERE; N],
            heap: [0; N],
            length: 0,
        }
    }

    /// How many are queued.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// True when nobody is queued.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The one with the least key.
    #[inline]
    pub fn first(&self) -> Option<(K, VcpuIndex)> {
        if self.is_empty() {
            return None;
        }
        let first = *slot(&self.heap, 0);
        let key = *slot(&self.keys, usize::from(first));
        Some((key, VcpuIndex::new(first)))
    }

    /// The key of one that is queued.
    pub fn key(&self, vcpu: VcpuIndex) -> Option<K> {
        let place = self.places.get(vcpu.get())?;
        (*place != NOWHERE).then(|| *slot(&self.keys, vcpu.get()))
    }

    /// Queues one, or gives it another key. One with a number of `N` or more is left out.
    #[inline]
    pub fn insert(&mut self, vcpu: VcpuIndex, key: K) {
        let index = vcpu.get();
        let Some(place) = self.places.get(index) else {
            return;
        };
        let place = *place;
        *slot_mut(&mut self.keys, index) = key;
        if place != NOWHERE {
            return self.settle(usize::from(place), index);
        }
        let place = self.len();
        self.length += 1;
        self.rise(place, index);
    }

    /// Takes one out. Nothing happens when it is not queued.
    #[inline]
    pub fn remove(&mut self, vcpu: VcpuIndex) {
        let index = vcpu.get();
        let Some(place) = self.places.get_mut(index) else {
            return;
        };
        let place = core::mem::replace(place, NOWHERE);
        if place == NOWHERE {
            return;
        }
        let place = usize::from(place);
        self.length -= 1;
        let last = self.len();
        if place < last {
            self.settle(place, self.at(last));
        }
    }

    /// Who stands at a place.
    fn at(&self, place: usize) -> usize {
        usize::from(*slot(&self.heap, place))
    }

    // Both are below `N`, which is below 2^16.
    const fn put(&mut self, place: usize, index: usize) {
        *slot_mut(&mut self.heap, place) = index as u16;
        *slot_mut(&mut self.places, index) = place as u16;
    }

    /// True when one belongs before another one; both are queued.
    fn before(&self, one: usize, other: usize) -> bool {
        slot(&self.keys, one) < slot(&self.keys, other)
    }

    /// Puts one at a place, or where it belongs above or below that. Whoever stood there has moved already.
    fn settle(&mut self, place: usize, index: usize) {
        let place = self.rise(place, index);
        self.sink(place, index);
    }

    /// Puts one at a place, or above it in the stead of those that it comes before; they move down. Returns its place.
    #[inline]
    fn rise(&mut self, mut place: usize, index: usize) -> usize {
        while let Some(rest) = place.checked_sub(1) {
            let above = self.at(rest / 2);
            if !self.before(index, above) {
                break;
            }
            self.put(place, above);
            place = rest / 2;
        }
        self.put(place, index);
        place
    }

    /// Puts one at a place, or below it in the stead of those that come before it; they move up.
    fn sink(&mut self, mut place: usize, index: usize) {
        loop {
            let mut child = 2 * place + 1;
            if child >= self.len() {
                break;
            }
            if child + 1 < self.len() && self.before(self.at(child + 1), self.at(child)) {
                child += 1;
            }
            let below = self.at(child);
            if !self.before(below, index) {
                break;
            }
            self.put(place, below);
            place = child;
        }
        self.put(place, index);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Key for u32 {
        const UNUSED: Self = 0;
    }

    impl Key for (u32, u16) {
        const UNUSED: Self = (0, 0);
    }

    fn v(index: u16) -> VcpuIndex {
        VcpuIndex::new(index)
    }

    #[test]
    fn least_key_is_first() {
        let mut queue = Queue::<u32, 4>::new();
        assert_eq!(queue.first(), None);
        queue.insert(v(2), 7);
        queue.insert(v(0), 5);
        queue.insert(v(3), 9);
        assert_eq!(queue.first(), Some((5, v(0))));
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn another_key_moves_one_without_queueing_it_twice() {
        let mut queue = Queue::<u32, 4>::new();
        queue.insert(v(0), 5);
        queue.insert(v(1), 6);
        queue.insert(v(0), 8);
        assert_eq!(queue.first(), Some((6, v(1))));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn one_that_is_not_queued_is_not_removed() {
        let mut queue = Queue::<u32, 2>::new();
        queue.insert(v(0), 5);
        queue.remove(v(1));
        queue.remove(v(9));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn one_beyond_the_capacity_is_left_out() {
        let mut queue = Queue::<u32, 2>::new();
        queue.insert(v(2), 1);
        assert!(queue.is_empty());
    }

    proptest! {
        #[test]
        fn queue_agrees_with_a_sorted_list(steps in prop::collection::vec((0u16..20, 0u32..50, any::<bool>()), 0..200)) {
            let mut queue = Queue::<(u32, u16), 20>::new();
            let mut list: Vec<(u32, u16)> = Vec::new();
            for (index, key, insert) in steps {
                list.retain(|(_, other)| *other != index);
                if insert {
                    list.push((key, index));
                    queue.insert(v(index), (key, index));
                } else {
                    queue.remove(v(index));
                }
                list.sort_unstable();
                prop_assert_eq!(queue.first().map(|(key, _)| key), list.first().copied());
                prop_assert_eq!(queue.len(), list.len());
                let in_list = list.iter().find(|(_, other)| *other == index);
                prop_assert_eq!(queue.key(v(index)), in_list.copied());
            }
            while let Some((key, vcpu)) = queue.first() {
                prop_assert_eq!(key, list.remove(0));
                queue.remove(vcpu);
            }
            prop_assert!(list.is_empty());
        }
    }
}
