//! Ranges of a UIO device in the memory of this process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::param::page_size;

/// A word by which a range is reached: one aligned load or store, of which all bits are a number.
pub trait Word {}
impl Word for AtomicU32 {}
impl Word for AtomicU64 {}

/// Maps a range of a UIO device, for as long as the process lives.
pub fn map<T: Word>(file: &File, range: usize, size: usize) -> io::Result<&'static [T]> {
    // UIO takes the offset, in pages, for the number of the range.
    let offset = (range * page_size()) as u64;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address that the kernel chooses takes none that the process has.
    let start = unsafe {
        mmap(
            ptr::null_mut(),
            size,
            access,
            MapFlags::SHARED,
            file,
            offset,
        )
    }?;
    // SAFETY: the mapping has `size` bytes from the beginning of a page and is never removed. What others write there they write as
    // whole aligned words, and this process reaches it by atomic words only.
    Ok(unsafe { slice::from_raw_parts(start.cast(), size / size_of::<T>()) })
}

/// Lets the device's interrupt come again: UIO turns it off when it comes, and on when a word of 1 is written.
pub fn listen(file: &mut File) -> io::Result<()> {
    file.write_all(&1_u32.to_ne_bytes())
}

/// Sleeps until the interrupt has come, or has since it last slept, and lets it come again.
pub fn wait(file: &mut File) -> io::Result<()> {
    let mut count = [0; size_of::<u32>()];
    file.read_exact(&mut count)?;
    listen(file)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn memory_is_mapped_in_words_and_shared_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        std::fs::write(&path, vec![0; 4096]).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.unwrap();
        let words: &[AtomicU32] = map(&file, 0, 4096).unwrap();
        words[1023].store(0x1234_5678_u32.to_le(), Ordering::Relaxed);
        let doubles: &[AtomicU64] = map(&file, 0, 4096).unwrap();
        let last = u64::from_le(doubles[511].load(Ordering::Relaxed));
        assert_eq!(
            (words.len(), doubles.len(), last),
            (1024, 512, 0x1234_5678 << 32)
        );
    }
}
