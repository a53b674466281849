//! Writes the flattened format, version 17 (Devicetree Specification 0.4, chapter 5).

use super::reader::{BEGIN_NODE, END, END_NODE, MAGIC, PROPERTY};
use super::tree::{NodeId, Tree};

const HEADER_SIZE: usize = 40;

impl Tree {
    /// The tree as a blob. The same tree always gives the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.node(self, Tree::ROOT);
        writer.word(END);
        let Writer { structure, strings } = writer;

        let mut reservations = Vec::new();
        for range in &self.reservations {
            reservations.extend(range.base.to_be_bytes());
            reservations.extend(range.size.to_be_bytes());
        }
        reservations.extend([0; 16]);

        let structure_at = HEADER_SIZE + reservations.len();
        let strings_at = structure_at + structure.len();
        let total = strings_at + strings.len();
        // Fields in the order of table 5.1; version 17, readable from version 16 on, boot CPU 0.
        let header = [
            MAGIC,
            total as u32,
            structure_at as u32,
            strings_at as u32,
            HEADER_SIZE as u32,
            17,
            16,
            0,
            strings.len() as u32,
            structure.len() as u32,
        ];
        let mut blob: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        blob.extend(reservations);
        blob.extend(structure);
        blob.extend(strings);
        blob
    }
}

#[derive(Default)]
struct Writer {
    structure: Vec<u8>,
    strings: Vec<u8>,
}

impl Writer {
    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.structure.extend(bytes);
        self.structure
            .resize(self.structure.len().next_multiple_of(4), 0);
    }

    fn node(&mut self, tree: &Tree, node: NodeId) {
        self.word(BEGIN_NODE);
        self.bytes(&[tree.name(node).as_bytes(), &[0]].concat());
        for property in tree.properties(node) {
            let name = self.string(&property.name);
            self.word(PROPERTY);
            self.word(property.value.len() as u32);
            self.word(name);
            self.bytes(&property.value);
        }
        for child in tree.children(node) {
            self.node(tree, *child);
        }
        self.word(END_NODE);
    }

    /// Offset of a name in the strings block; each name is stored once.
    fn string(&mut self, name: &str) -> u32 {
        let wanted = [name.as_bytes(), &[0]].concat();
        let mut start = 0;
        while start < self.strings.len() {
            let length = self.strings[start..]
                .iter()
                .position(|byte| *byte == 0)
                .map_or(0, |end| end + 1);
            if self.strings[start..start + length] == wanted[..] {
                return start as u32;
            }
            start += length;
        }
        self.strings.extend(wanted);
        start as u32
    }
}
