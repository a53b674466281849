//! Access to fixed arrays that cannot panic.

/// The slot at `index`, or the last one when the array is shorter. The callers check their indices where they come in.
#[expect(
    clippy::indexing_slicing,
    reason = "the index is clamped, and an empty array does not compile"
)]
pub(crate) const fn slot<T, const N: usize>(array: &[T; N], index: usize) -> &T {
    const { assert!(N > 0) };
    &array[if index < N { index } else { N - 1 }]
}

/// Like [`slot`], to be changed.
#[expect(
    clippy::indexing_slicing,
    reason = "the index is clamped, and an empty array does not compile"
)]
pub(crate) const fn slot_mut<T, const N: usize>(array: &mut [T; N], index: usize) -> &mut T {
    const { assert!(N > 0) };
    &mut array[if index < N { index } else { N - 1 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_beyond_the_end_gives_the_last_slot() {
        assert_eq!(*slot(&[1, 2, 3], 1), 2);
        assert_eq!(*slot(&[1, 2, 3], 9), 3);
        assert_eq!(*slot_mut(&mut [1, 2, 3], usize::MAX), 3);
    }
}
