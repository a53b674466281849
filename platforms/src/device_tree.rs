//! The device tree that firmware hands over, read in one walk from its first node to its last (Devicetree Specification 0.4, chapter 5).
//! Firmware leaves NOP words wherever it has deleted something. Whatever the bytes are, the walk ends and nothing outside them is read.

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;
/// Deeper trees than this are no board's.
const DEEPEST: usize = 32;

/// A flattened device tree.
#[derive(Clone, Copy)]
pub struct DeviceTree<'a> {
    structure: &'a [u8],
    strings: &'a [u8],
}

impl<'a> DeviceTree<'a> {
    /// Finds the blocks by the header; `None` when they do not lie in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let header = |word: usize| bytes.get(word * 4..).and_then(first_word);
        let block = |offset: u32, size: u32| bytes.get(offset as usize..)?.get(..size as usize);
        (header(0)? == MAGIC).then_some(())?;
        Some(Self {
            structure: block(header(2)?, header(9)?)?,
            strings: block(header(3)?, header(8)?)?,
        })
    }

    /// All nodes, parents before children.
    pub fn nodes(&self) -> Nodes<'a> {
        Nodes {
            rest: self.structure,
            strings: self.strings,
            depth: 0,
            cells: [DEFAULT_CELLS; DEEPEST],
            whole: false,
        }
    }

    /// True when a node that names one of `wanted` as compatible has its first registers at this address.
    #[cfg(any(feature = "pci", feature = "iommu"))]
    pub fn has(&self, wanted: &[&str], base: u64) -> bool {
        self.nodes().any(|node| {
            node.is_compatible(wanted) && node.reg().next().map(|(base, _)| base) == Some(base)
        })
    }
}

/// `#address-cells` and `#size-cells` of a node.
type Cells = (usize, usize);

/// What they are without the properties (section 2.3.5).
const DEFAULT_CELLS: Cells = (2, 1);

/// A walk.
pub struct Nodes<'a> {
    rest: &'a [u8],
    strings: &'a [u8],
    /// How many nodes are open.
    depth: usize,
    /// What each open node says of its children.
    cells: [Cells; DEEPEST],
    whole: bool,
}

impl Nodes<'_> {
    /// True once the walk has come to the end of the tree, and not to something that no tree has.
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        loop {
            match take_word(&mut self.rest)? {
                NOP => {}
                END_NODE => self.depth = self.depth.checked_sub(1)?,
                END => {
                    self.whole = self.depth == 0;
                    return None;
                }
                BEGIN_NODE => break,
                _ => return None,
            }
        }
        let name = self.rest.iter().position(|byte| *byte == 0)?;
        self.rest = self.rest.get((name + 1).next_multiple_of(4)..)?;
        let parent = self.depth.checked_sub(1);
        let node = Node {
            properties: self.rest,
            strings: self.strings,
            cells: parent
                .map_or(Some(&DEFAULT_CELLS), |parent| self.cells.get(parent))
                .copied()?,
        };
        let mut cells = DEFAULT_CELLS;
        let mut properties = node.properties();
        for (name, value) in properties.by_ref() {
            let count = || value.try_into().map_or(0, u32::from_be_bytes) as usize;
            match name {
                b"#address-cells" => cells.0 = count(),
                b"#size-cells" => cells.1 = count(),
                _ => {}
            }
        }
        self.rest = properties.rest;
        *self.cells.get_mut(self.depth)? = cells;
        self.depth += 1;
        Some(node)
    }
}

/// A node.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    /// From its first property on.
    properties: &'a [u8],
    strings: &'a [u8],
    /// What its parent says of it.
    cells: Cells,
}

impl<'a> Node<'a> {
    /// Names and values, as they come.
    pub fn properties(&self) -> Properties<'a> {
        Properties {
            rest: self.properties,
            strings: self.strings,
        }
    }

    fn property(&self, wanted: &[u8]) -> &'a [u8] {
        let found = self.properties().find(|(name, _)| *name == wanted);
        found.map_or(&[], |(_, value)| value)
    }

    /// True when one of `wanted` is among its `compatible`.
    #[cfg(any(feature = "pci", feature = "iommu"))]
    pub fn is_compatible(&self, wanted: &[&str]) -> bool {
        let mut names = self.property(b"compatible").split(|byte| *byte == 0);
        names.any(|name| wanted.iter().any(|one| one.as_bytes() == name))
    }

    /// Addresses and sizes of its `reg`, as they are on its own bus.
    pub fn reg(&self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        let (address, size) = self.cells;
        // More cells than two hold no number of 64 bits: the node is no memory and no device that the image looks for.
        let length = if address <= 2 && size <= 2 {
            (address + size) * 4
        } else {
            0
        };
        let entries = self.property(b"reg").chunks_exact(length.max(1));
        entries
            .take(if length == 0 { 0 } else { usize::MAX })
            .filter_map(move |entry| {
                let (base, size) = entry.split_at_checked(address * 4)?;
                Some((big_endian(base), big_endian(size)))
            })
    }
}

/// A walk over the properties of a node.
pub struct Properties<'a> {
    rest: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Iterator for Properties<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest;
        loop {
            match take_word(&mut rest)? {
                NOP => self.rest = rest,
                PROPERTY => break,
                // The first child, or the end of the node.
                _ => return None,
            }
        }
        let (length, name) = (take_word(&mut rest)? as usize, take_word(&mut rest)?);
        let value = rest.get(..length)?;
        self.rest = rest.get(length.checked_next_multiple_of(4)?..)?;
        let name = self
            .strings
            .get(name as usize..)?
            .split(|byte| *byte == 0)
            .next()?;
        Some((name, value))
    }
}

/// Bytes as one number, the most significant first.
pub fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn first_word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_be_bytes)
}

fn take_word(rest: &mut &[u8]) -> Option<u32> {
    let (word, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a structure block.
    #[derive(Default)]
    struct Writer(Vec<u8>, Vec<u8>);

    impl Writer {
        fn words(mut self, words: &[u32]) -> Self {
            self.0
                .extend(words.iter().flat_map(|word| word.to_be_bytes()));
            self
        }

        fn begin(mut self, name: &str) -> Self {
            self = self.words(&[BEGIN_NODE]);
            self.0.extend(name.bytes().chain([0]));
            self.0.resize(self.0.len().next_multiple_of(4), 0);
            self
        }

        fn property(mut self, name: &str, value: &[u8]) -> Self {
            let at = self.1.len() as u32;
            self.1.extend(name.bytes().chain([0]));
            self = self.words(&[PROPERTY, value.len() as u32, at]);
            self.0.extend(value);
            self.0.resize(self.0.len().next_multiple_of(4), 0);
            self
        }

        fn cells(self, name: &str, cells: &[u32]) -> Self {
            let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
            self.property(name, &bytes)
        }

        fn finish(self) -> Vec<u8> {
            let Self(structure, strings) = self;
            let (start, end) = (40, 40 + structure.len() as u32);
            let sizes = [strings.len() as u32, structure.len() as u32];
            let total = end + sizes[0];
            let header = [MAGIC, total, start, end, 0, 17, 16, 0, sizes[0], sizes[1]];
            let header = header.iter().flat_map(|word| word.to_be_bytes());
            header.chain(structure).chain(strings).collect()
        }
    }

    /// A board as firmware leaves it: NOP words before and behind properties, between nodes and before a node's end.
    fn board() -> Vec<u8> {
        Writer::default()
            .begin("")
            .words(&[NOP])
            .property("compatible", b"acme,board\0acme,soc\0")
            .words(&[NOP, NOP])
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[1])
            .begin("soc")
            .cells("#address-cells", &[1])
            .begin("uart@1000")
            .property("compatible", b"arm,pl011\0")
            .cells("reg", &[0x1000, 0x100, 0x2000, 0x200])
            .words(&[NOP, END_NODE, NOP, NOP, END_NODE, NOP])
            .begin("memory@0")
            .property("device_type", b"memory\0")
            .cells("reg", &[1, 0x8000_0000, 0x4000_0000])
            .words(&[NOP, END_NODE, NOP, END_NODE, END])
            .finish()
    }

    #[test]
    fn nodes_behind_deleted_ones_are_found() {
        let bytes = board();
        let tree = DeviceTree::new(&bytes).unwrap();
        let mut nodes = tree.nodes();
        let found: Vec<Node> = nodes.by_ref().collect();
        assert!(nodes.is_whole());
        assert_eq!(found.len(), 4);
        assert!(found[0].is_compatible(&["acme,soc"]));
        let memory = found[3].reg().collect::<Vec<_>>();
        assert_eq!(memory, [(0x1_8000_0000, 0x4000_0000)]);
    }

    #[test]
    fn registers_are_read_with_the_cells_of_their_parent() {
        let bytes = board();
        let tree = DeviceTree::new(&bytes).unwrap();
        let uart = tree.nodes().nth(2).unwrap();
        assert_eq!(
            uart.reg().collect::<Vec<_>>(),
            [(0x1000, 0x100), (0x2000, 0x200)]
        );
        assert!(tree.has(&["ns16550", "arm,pl011"], 0x1000));
        assert!(!tree.has(&["arm,pl011"], 0x2000) && !tree.has(&["arm,pl01"], 0x1000));
    }

    #[test]
    fn tree_that_is_cut_off_is_not_whole() {
        let bytes = board();
        for end in 0..bytes.len() {
            if let Some(tree) = DeviceTree::new(&bytes[..end]) {
                let mut nodes = tree.nodes();
                let ranges: usize = nodes.by_ref().map(|node| node.reg().count()).sum();
                assert!(ranges <= bytes.len());
            }
        }
        let cut = Writer::default().begin("").begin("soc").finish();
        let mut nodes = DeviceTree::new(&cut).unwrap().nodes();
        assert_eq!(nodes.by_ref().count(), 2);
        assert!(!nodes.is_whole());
    }

    #[test]
    fn any_word_in_place_of_another_ends_the_walk_somewhere() {
        let bytes = board();
        for at in (0..bytes.len() - 4).step_by(4) {
            for word in [0_u32, 1, 2, 3, 4, 9, 0x7fff_ffff, u32::MAX] {
                let mut bytes = bytes.clone();
                bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
                if let Some(tree) = DeviceTree::new(&bytes) {
                    let seen: usize = tree.nodes().map(|node| 1 + node.reg().count()).sum();
                    assert!(seen < bytes.len());
                }
            }
        }
    }

    #[test]
    fn tree_deeper_than_any_board_ends_the_walk() {
        let mut writer = Writer::default();
        for _ in 0..DEEPEST + 8 {
            writer = writer.begin("a");
        }
        let bytes = writer.finish();
        let mut nodes = DeviceTree::new(&bytes).unwrap().nodes();
        assert_eq!(nodes.by_ref().count(), DEEPEST);
        assert!(!nodes.is_whole());
    }
}
