//! Reads the flattened format (Devicetree Specification 0.4, chapter 5). The bytes are hostile until read.

use super::{TreeError, tree::Tree};
use crate::range::AddressRange;

pub(super) const MAGIC: u32 = 0xd00d_feed;
pub(super) const BEGIN_NODE: u32 = 1;
pub(super) const END_NODE: u32 = 2;
pub(super) const PROPERTY: u32 = 3;
pub(super) const NOP: u32 = 4;
pub(super) const END: u32 = 9;
/// No real tree nests deeper; a tree that does is an attack on whoever walks it by recursion.
pub(super) const DEEPEST: usize = 64;
/// The largest tree that an arm64 kernel takes (Linux, Documentation/arch/arm64/booting.rst, section 2).
const LARGEST: usize = 2 << 20;
/// Far more than the labels of any board, which are the properties of one node. Each look-up goes through them.
const MOST_PROPERTIES: usize = 4096;

impl Tree {
    /// Reads a flattened tree.
    ///
    /// # Errors
    /// The first place where the bytes break the format.
    pub fn read(bytes: &[u8]) -> Result<Self, TreeError> {
        let header = Cursor { bytes, at: 0 };
        if header.word(0)? != MAGIC {
            return Err(broken(0, "no device tree: the magic number is missing"));
        }
        let total = header.word(4)? as usize;
        if total > LARGEST {
            return Err(broken(4, "the tree is larger than 2 MiB"));
        }
        let bytes = bytes
            .get(..total)
            .ok_or_else(|| broken(4, "the file is shorter than its header says"))?;
        let header = Cursor { bytes, at: 0 };
        // Version 17 is the current one; a writer says from which version on it can be read.
        if header.word(24)? > 17 {
            return Err(broken(24, "the format is newer than version 17"));
        }
        let structure = header.word(8)? as usize;
        let strings = header.word(12)? as usize;
        let strings = bytes
            .get(strings..)
            .ok_or_else(|| broken(12, "the strings lie outside the file"))?;
        let mut tree = Self::new();
        read_reservations(&mut tree, bytes, header.word(16)? as usize)?;
        read_structure(
            &mut tree,
            Cursor {
                bytes,
                at: structure,
            },
            strings,
        )?;
        Ok(tree)
    }
}

fn read_reservations(tree: &mut Tree, bytes: &[u8], start: usize) -> Result<(), TreeError> {
    let entries = bytes
        .get(start..)
        .ok_or_else(|| broken(16, "the memory reservations lie outside the file"))?;
    for entry in entries.as_chunks::<16>().0 {
        let [base, size] = [&entry[..8], &entry[8..]].map(|half| {
            half.iter()
                .fold(0u64, |value, byte| value << 8 | u64::from(*byte))
        });
        if base == 0 && size == 0 {
            return Ok(());
        }
        let range = AddressRange::new(base, size);
        tree.reservations.push(
            range.ok_or_else(|| broken(start, "a memory reservation is empty or wraps around"))?,
        );
    }
    Err(broken(start, "the memory reservations have no end"))
}

fn read_structure(
    tree: &mut Tree,
    mut cursor: Cursor<'_>,
    strings: &[u8],
) -> Result<(), TreeError> {
    let mut open = Vec::new();
    let mut root_seen = false;
    loop {
        let offset = cursor.at;
        match cursor.take_word()? {
            NOP => {}
            BEGIN_NODE => {
                let name = cursor.take_name()?;
                let node = match open.last() {
                    Some(parent) => tree.add(*parent, name),
                    None if root_seen => return Err(broken(offset, "there are two roots")),
                    None => Tree::ROOT,
                };
                root_seen = true;
                open.push(node);
                if open.len() > DEEPEST {
                    return Err(broken(offset, "nodes nest deeper than 64 levels"));
                }
            }
            PROPERTY => {
                let node = *open
                    .last()
                    .ok_or_else(|| broken(offset, "a property stands outside every node"))?;
                let length = cursor.take_word()? as usize;
                let name = string_at(strings, cursor.take_word()? as usize, offset)?;
                let value = cursor.take(length)?;
                if tree.properties(node).len() == MOST_PROPERTIES {
                    return Err(broken(offset, "a node has more than 4096 properties"));
                }
                tree.set(node, name, value);
            }
            END_NODE => {
                open.pop()
                    .ok_or_else(|| broken(offset, "a node ends that never began"))?;
            }
            END if open.is_empty() && root_seen => return Ok(()),
            END => return Err(broken(offset, "the tree ends within a node")),
            _ => return Err(broken(offset, "unknown token")),
        }
    }
}

fn string_at(strings: &[u8], start: usize, offset: usize) -> Result<&str, TreeError> {
    let tail = strings
        .get(start..)
        .ok_or_else(|| broken(offset, "a property's name lies outside the file"))?;
    let length = tail.iter().position(|byte| *byte == 0);
    let name = length.and_then(|length| std::str::from_utf8(&tail[..length]).ok());
    name.ok_or_else(|| broken(offset, "a property's name is not text"))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn word(&self, offset: usize) -> Result<u32, TreeError> {
        let word = self
            .bytes
            .get(offset..)
            .and_then(|tail| tail.first_chunk::<4>());
        word.map(|word| u32::from_be_bytes(*word))
            .ok_or_else(|| broken(offset, "the file is cut off"))
    }

    fn take_word(&mut self) -> Result<u32, TreeError> {
        let word = self.word(self.at)?;
        self.at += 4;
        Ok(word)
    }

    /// The next `length` bytes; moves on to the next multiple of 4.
    fn take(&mut self, length: usize) -> Result<&'a [u8], TreeError> {
        let value = self
            .bytes
            .get(self.at..)
            .and_then(|tail| tail.get(..length));
        let value =
            value.ok_or_else(|| broken(self.at, "a value runs past the end of the file"))?;
        self.at = (self.at + length).next_multiple_of(4);
        Ok(value)
    }

    fn take_name(&mut self) -> Result<&'a str, TreeError> {
        let start = self.at;
        let length = self
            .bytes
            .get(start..)
            .and_then(|tail| tail.iter().position(|byte| *byte == 0));
        let length = length.ok_or_else(|| broken(start, "a node's name has no end"))?;
        let name = &self.take(length + 1)?[..length];
        std::str::from_utf8(name).map_err(|_| broken(start, "a node's name is not text"))
    }
}

fn broken(offset: usize, what: &'static str) -> TreeError {
    TreeError::Format { offset, what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small() -> Vec<u8> {
        let mut tree = Tree::new();
        tree.reservations
            .push(AddressRange::new(0x1000, 0x1000).unwrap());
        let node = tree.add(Tree::ROOT, "memory@0");
        tree.set_cells(node, "reg", &[0, 0x1000]);
        tree.set_string(node, "device_type", "memory");
        tree.write()
    }

    #[test]
    fn written_tree_reads_back_the_same() {
        let tree = Tree::read(&small()).unwrap();
        let node = tree.find("/memory@0").unwrap();
        assert_eq!(tree.cells(node, "reg").unwrap(), Some(vec![0, 0x1000]));
        assert_eq!(tree.string(node, "device_type"), Some("memory"));
        assert_eq!(tree.reservations.len(), 1);
    }

    #[test]
    fn every_cut_is_an_error() {
        let whole = small();
        for length in 0..whole.len() {
            assert!(Tree::read(&whole[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn endless_properties_are_refused() {
        let mut tree = Tree::new();
        for number in 0..=MOST_PROPERTIES {
            tree.set(Tree::ROOT, &format!("p{number}"), []);
        }
        let error = Tree::read(&tree.write()).unwrap_err().to_string();
        assert!(error.contains("4096 properties"), "{error}");
    }

    #[test]
    fn tree_of_more_than_2_mib_is_refused() {
        let mut tree = Tree::new();
        tree.set(Tree::ROOT, "large", vec![0; LARGEST]);
        let error = Tree::read(&tree.write()).unwrap_err().to_string();
        assert!(error.contains("2 MiB"), "{error}");
    }

    #[test]
    fn endless_nesting_is_refused() {
        let mut tree = Tree::new();
        let mut at = Tree::ROOT;
        for _ in 0..100 {
            at = tree.add(at, "deep");
        }
        assert!(
            Tree::read(&tree.write())
                .unwrap_err()
                .to_string()
                .contains("64 levels")
        );
    }

    proptest! {
        #[test]
        fn mutated_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut bytes = small();
            for (index, value) in changes {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(tree) = Tree::read(&bytes) {
                let nodes: Vec<_> = tree.nodes().collect();
                prop_assert!(nodes.iter().all(|node| tree.path(*node).starts_with('/')));
            }
        }
    }
}
