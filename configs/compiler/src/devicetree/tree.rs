//! A device tree in memory.

use std::collections::BTreeMap;

use super::TreeError;
use crate::range::AddressRange;

/// The properties that give a node its phandle; the second is what trees before version 0.2 of the specification have.
const PHANDLES: [&str; 2] = ["phandle", "linux,phandle"];

/// A node of one [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(usize);

/// A named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub name: String,
    pub value: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Node {
    name: String,
    parent: Option<NodeId>,
    properties: Vec<Property>,
    children: Vec<NodeId>,
}

/// A device tree: nodes with properties, and the memory reservation block.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// Who has which phandle; the first of several.
    phandles: BTreeMap<u32, NodeId>,
    pub reservations: Vec<AddressRange>,
}

impl Tree {
    pub const ROOT: NodeId = NodeId(0);

    /// A tree of nothing but a root.
    pub fn new() -> Self {
        let root = Node {
            name: String::new(),
            parent: None,
            properties: Vec::new(),
            children: Vec::new(),
        };
        Self {
            nodes: vec![root],
            phandles: BTreeMap::new(),
            reservations: Vec::new(),
        }
    }

    /// Adds a child behind its siblings.
    pub fn add(&mut self, parent: NodeId, name: impl Into<String>) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node {
            name: name.into(),
            parent: Some(parent),
            properties: Vec::new(),
            children: Vec::new(),
        });
        self.nodes[parent.0].children.push(id);
        id
    }

    /// Sets a property to raw bytes.
    pub fn set(&mut self, node: NodeId, name: &str, value: impl Into<Vec<u8>>) {
        let value = value.into();
        if PHANDLES.contains(&name) {
            self.set_phandle(node, &value);
        }
        let properties = &mut self.nodes[node.0].properties;
        match properties.iter_mut().find(|property| property.name == name) {
            Some(property) => property.value = value,
            None => properties.push(Property {
                name: name.to_owned(),
                value,
            }),
        }
    }

    fn set_phandle(&mut self, node: NodeId, value: &[u8]) {
        if let Some(old) = self.phandle(node)
            && self.phandles.get(&old) == Some(&node)
        {
            self.phandles.remove(&old);
        }
        if let Ok(new) = value.try_into().map(u32::from_be_bytes) {
            self.phandles.entry(new).or_insert(node);
        }
    }

    /// Takes a property away.
    pub fn remove(&mut self, node: NodeId, name: &str) {
        self.nodes[node.0]
            .properties
            .retain(|property| property.name != name);
    }

    /// Sets a property to a string.
    pub fn set_string(&mut self, node: NodeId, name: &str, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.set(node, name, bytes);
    }

    /// Sets a property to 32-bit cells.
    pub fn set_cells(&mut self, node: NodeId, name: &str, cells: &[u32]) {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.set(node, name, bytes);
    }

    /// All nodes, parents before children.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// The node with that label, alias or path.
    pub fn named(&self, name: &str) -> Option<NodeId> {
        if name.starts_with('/') {
            return self.find(name);
        }
        let path_in = |table: &str| self.string(self.find(table)?, name);
        // `dtc -@` keeps labels in `/__symbols__`.
        let path = path_in("/aliases").or_else(|| path_in("/__symbols__"))?;
        self.find(path)
    }

    pub fn name(&self, node: NodeId) -> &str {
        &self.nodes[node.0].name
    }

    /// The name without its unit address.
    pub fn base_name(&self, node: NodeId) -> &str {
        self.name(node).split('@').next().unwrap_or_default()
    }

    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.nodes[node.0].parent
    }

    pub fn children(&self, node: NodeId) -> &[NodeId] {
        &self.nodes[node.0].children
    }

    pub fn properties(&self, node: NodeId) -> &[Property] {
        &self.nodes[node.0].properties
    }

    pub fn property(&self, node: NodeId, name: &str) -> Option<&[u8]> {
        let found = self
            .properties(node)
            .iter()
            .find(|property| property.name == name);
        found.map(|property| property.value.as_slice())
    }

    pub fn has(&self, node: NodeId, name: &str) -> bool {
        self.property(node, name).is_some()
    }

    /// The strings of a property; none when it is missing. Bytes that are not UTF-8 end the list.
    pub fn strings(&self, node: NodeId, name: &str) -> Vec<&str> {
        let value = self.property(node, name).unwrap_or_default();
        let value = value.strip_suffix(&[0]).unwrap_or(value);
        if value.is_empty() {
            return Vec::new();
        }
        value
            .split(|byte| *byte == 0)
            .map_while(|bytes| std::str::from_utf8(bytes).ok())
            .collect()
    }

    /// The first string of a property.
    pub fn string(&self, node: NodeId, name: &str) -> Option<&str> {
        self.strings(node, name).into_iter().next()
    }

    /// The 32-bit cells of a property; `None` when it is missing.
    pub fn cells(&self, node: NodeId, name: &str) -> Result<Option<Vec<u32>>, TreeError> {
        let Some(value) = self.property(node, name) else {
            return Ok(None);
        };
        let (cells, rest) = value.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(self.error(node, name, "is not a whole number of 32-bit cells"));
        }
        Ok(Some(
            cells.iter().map(|cell| u32::from_be_bytes(*cell)).collect(),
        ))
    }

    /// The single 32-bit cell of a property; `None` when it is missing.
    pub fn cell(&self, node: NodeId, name: &str) -> Result<Option<u32>, TreeError> {
        match self.cells(node, name)?.as_deref() {
            None => Ok(None),
            Some([cell]) => Ok(Some(*cell)),
            Some(_) => Err(self.error(node, name, "is not one cell")),
        }
    }

    /// True when a `compatible` string of the node is one of `names`.
    pub fn is_compatible(&self, node: NodeId, names: &[&str]) -> bool {
        self.strings(node, "compatible")
            .iter()
            .any(|name| names.contains(name))
    }

    /// True unless the node's `status` says that it is not usable (section 2.3.4).
    pub fn is_enabled(&self, node: NodeId) -> bool {
        self.string(node, "status")
            .is_none_or(|status| matches!(status, "okay" | "ok"))
    }

    /// Its full path, `/` for the root.
    pub fn path(&self, node: NodeId) -> String {
        let mut names = Vec::new();
        let mut at = node;
        while let Some(parent) = self.parent(at) {
            names.push(self.name(at));
            at = parent;
        }
        names.reverse();
        format!("/{}", names.join("/"))
    }

    /// The node at a full path. A name may leave out its unit address when that is not ambiguous.
    pub fn find(&self, path: &str) -> Option<NodeId> {
        let names = path
            .strip_prefix('/')?
            .split('/')
            .filter(|name| !name.is_empty());
        let mut at = Self::ROOT;
        for name in names {
            at = self.child(at, name)?;
        }
        Some(at)
    }

    /// The child of that name.
    pub fn child(&self, node: NodeId, name: &str) -> Option<NodeId> {
        let children = self.children(node);
        if let Some(exact) = children.iter().find(|child| self.name(**child) == name) {
            return Some(*exact);
        }
        let mut alike = children
            .iter()
            .filter(|child| self.base_name(**child) == name);
        let first = alike.next()?;
        alike.next().is_none().then_some(*first)
    }

    /// The node with that phandle.
    pub fn by_phandle(&self, phandle: u32) -> Option<NodeId> {
        self.phandles.get(&phandle).copied()
    }

    /// A node's phandle, if it has one.
    pub fn phandle(&self, node: NodeId) -> Option<u32> {
        let of = |name: &&str| self.cell(node, name).ok().flatten();
        PHANDLES.iter().find_map(of)
    }

    /// The finding that a property of a node is wrong.
    pub fn error(&self, node: NodeId, property: &str, what: impl Into<String>) -> TreeError {
        TreeError::Property {
            node: self.path(node),
            property: property.to_owned(),
            what: what.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_uarts() -> Tree {
        let mut tree = Tree::new();
        let soc = tree.add(Tree::ROOT, "soc");
        tree.add(soc, "uart@1000");
        tree.add(soc, "uart@2000");
        tree.add(soc, "timer@3000");
        tree
    }

    #[test]
    fn unit_address_may_be_left_out_when_unambiguous() {
        let tree = two_uarts();
        assert_eq!(
            tree.find("/soc/timer").map(|node| tree.path(node)),
            Some("/soc/timer@3000".into())
        );
        assert_eq!(tree.find("/soc/uart"), None);
        assert!(tree.find("/soc/uart@2000").is_some());
    }

    #[test]
    fn cells_of_odd_length_are_an_error() {
        let mut tree = two_uarts();
        tree.set(Tree::ROOT, "reg", [1, 2, 3]);
        assert_eq!(
            tree.cells(Tree::ROOT, "reg").unwrap_err().to_string(),
            "/: `reg` is not a whole number of 32-bit cells"
        );
    }

    #[test]
    fn strings_stop_at_bytes_that_are_not_text() {
        let mut tree = Tree::new();
        tree.set(Tree::ROOT, "compatible", *b"good\0\xff\xfe\0");
        assert_eq!(tree.strings(Tree::ROOT, "compatible"), ["good"]);
        assert!(tree.strings(Tree::ROOT, "model").is_empty());
    }
}
