//! A board as its device tree says: RAM, CPUs, and the devices that the hypervisor drives. The tree is read by another reader than the image's and
//! the compiler's.

use std::cell::RefCell;
use std::rc::Rc;

use fdt::Fdt;
use fdt::node::FdtNode;
use smmu::ipmmu::register_model as ipmmu;
use smmu::v2::register_model as two;
use smmu::v3::register_model as three;

use crate::bus::Bus;
use crate::chips::{THUNDERX_SMMU, groups, identity, its_facts, product};
use crate::cpu::Identity;
use crate::devices::{
    Ecam, Facts, Its, Kind, Lpis, Product, Registers, Uart, Walker, gicv2, gicv3,
};
use crate::fault::Fault;
use crate::memory::Ram;

/// A GICv2's frames.
const GIC_V2: &[&str] = &["arm,gic-400", "arm,cortex-a15-gic"];
/// IPMMUs that do not work rightly: M3-W's, not M3-N's with one more digit, and RZ/G2M's.
const DEFECTIVE: [&str; 2] = ["renesas,ipmmu-r8a7796", "renesas,ipmmu-r8a774a1"];
/// The room for pages of 4 KiB that show up 16 times.
const ALIASED: u64 = 0x2_0000;

/// An IOMMU, to be asked what devices reach.
pub enum Iommu {
    /// The IPMMUs of an R-Car, and how many micro-TLBs a cache has.
    Ipmmu(Rc<RefCell<ipmmu::Model>>, usize),
    /// An SMMUv2.
    SmmuV2(two::Handle),
    /// An SMMUv3.
    SmmuV3(three::Handle),
}

/// The board.
pub struct Board {
    /// Memory and devices.
    pub bus: Bus,
    /// CPUs in the tree's order.
    pub cpus: Vec<Identity>,
    /// What the console has sent.
    pub sent: Rc<RefCell<Vec<u8>>>,
    /// IOMMUs, and the node of each.
    pub iommus: Vec<(String, Iommu)>,
    /// ITSs, and where the registers of each are.
    pub its: Vec<(u64, Rc<RefCell<Its>>)>,
    /// What redistributors know of LPIs, on a GICv3.
    pub lpis: Option<Lpis>,
    /// PCI host bridges that something is behind.
    pub bridges: Vec<Rc<RefCell<Ecam>>>,
    /// The virtual CPU interface of a GICv2: base and size. Every CPU meets its own there, so all partitions may have it.
    pub banked: Option<(u64, u64)>,
}

fn lacks(what: &str) -> Fault {
    Fault::Tree(format!("it has no {what}"))
}

/// The registers of a node: base and size.
fn registers(node: &FdtNode<'_, '_>) -> Vec<(u64, u64)> {
    let all = node.reg().into_iter().flatten();
    all.map(|one| (one.starting_address as u64, one.size.unwrap_or(0) as u64))
        .collect()
}

fn is(node: &FdtNode<'_, '_>, wanted: &[&str]) -> bool {
    let mut names = node.compatible().into_iter().flat_map(|names| names.all());
    names.any(|name| wanted.iter().any(|wanted| name.starts_with(wanted)))
}

/// The power domain.
fn power<'a>(node: &FdtNode<'_, 'a>) -> &'a [u8] {
    node.property("power-domains").map_or(&[], |one| one.value)
}

fn is_on(node: &FdtNode<'_, '_>) -> bool {
    let status = node.property("status").and_then(|status| status.as_str());
    status.is_none_or(|status| matches!(status, "okay" | "ok"))
}

/// A fact by one of the names of the board and its chip.
fn chip<T>(tree: &Fdt<'_>, fact: fn(&str) -> Option<T>) -> Option<T> {
    tree.root().compatible().all().find_map(fact)
}

/// Nodes of this `device_type`.
fn typed<'b, 'a: 'b>(
    tree: &'b Fdt<'a>,
    kind: &'static str,
) -> impl Iterator<Item = FdtNode<'b, 'a>> {
    let of_kind = move |node: &FdtNode<'_, '_>| {
        node.property("device_type")
            .and_then(|value| value.as_str())
            == Some(kind)
    };
    tree.all_nodes().filter(of_kind)
}

impl Board {
    /// Makes the board of a device tree.
    ///
    /// # Errors
    /// The tree lacks something, or has something that is not modelled.
    pub fn new(tree: &[u8]) -> Result<Self, Fault> {
        let tree = Fdt::new(tree).map_err(|error| Fault::Tree(error.to_string()))?;
        let banks = typed(&tree, "memory").flat_map(|node| registers(&node));
        let mut board = Self {
            bus: Bus::new(Ram::new(banks)),
            cpus: Vec::new(),
            sent: Rc::default(),
            iommus: Vec::new(),
            its: Vec::new(),
            lpis: None,
            bridges: Vec::new(),
            banked: None,
        };
        board.add_console(&tree)?;
        board.add_controller(&tree)?;
        board.add_its(&tree);
        board.add_ipmmus(&tree);
        board.add_smmus(&tree);
        Ok(board)
    }

    /// The port of `/chosen/stdout-path`, or else the first one.
    fn add_console(&mut self, tree: &Fdt<'_>) -> Result<(), Fault> {
        let chosen = tree.find_node("/chosen");
        let path = chosen
            .and_then(|node| node.property("stdout-path"))
            .and_then(|path| path.as_str());
        let name = path.map_or("serial0", |path| path.split(':').next().unwrap_or(path));
        let alias = tree.aliases().and_then(|aliases| aliases.resolve(name));
        let path = alias.unwrap_or(name);
        let node = tree.find_node(path).ok_or_else(|| lacks("console"))?;
        let mut names = node.compatible().into_iter().flat_map(|names| names.all());
        let kind = names
            .find_map(Kind::of)
            .ok_or_else(|| lacks("console that is modelled"))?;
        let place = *registers(&node)
            .first()
            .ok_or_else(|| lacks("registers of the console"))?;
        self.bus
            .add(path, place, Uart::new(kind, self.sent.clone()));
        Ok(())
    }

    fn add_controller(&mut self, tree: &Fdt<'_>) -> Result<(), Fault> {
        let node = tree
            .all_nodes()
            .find(|node| is(node, GIC_V2) || is(node, &["arm,gic-v3"]));
        let node = node.ok_or_else(|| lacks("interrupt controller that is modelled"))?;
        let frames = registers(&node);
        let version_3 = is(&node, &["arm,gic-v3"]);
        for cpu in typed(tree, "cpu").filter(is_on) {
            let affinity = cpu.property("reg").map_or(&[][..], |reg| reg.value);
            let affinity = affinity
                .iter()
                .fold(0, |all, byte| all << 8 | u64::from(*byte));
            let core = cpu.compatible().map_or("", |names| names.first());
            let identity = identity(core, affinity, version_3);
            self.cpus
                .push(identity.ok_or_else(|| Fault::Tree(format!("{core} is not modelled")))?);
        }
        match (version_3, frames.as_slice()) {
            (true, [distributor, region, ..]) => {
                let affinities: Vec<_> = self.cpus.iter().map(|cpu| cpu.affinity).collect();
                let its = tree.all_nodes().any(|node| is(&node, &["arm,gic-v3-its"]));
                let (first, second, lpis) =
                    gicv3(&affinities, chip(tree, groups).unwrap_or(31), its);
                self.lpis = Some(lpis);
                self.bus.add("the distributor", *distributor, first);
                self.bus.add("the redistributors", *region, second);
            }
            (false, [distributor, cpu, control, interface]) => {
                self.banked = Some(*interface);
                let three = gicv2(self.cpus.len(), cpu.1 == ALIASED);
                let places = [
                    ("the distributor", distributor),
                    ("the CPU interface", cpu),
                    ("the virtual interface control", control),
                ];
                for ((name, place), frame) in places.into_iter().zip(three) {
                    self.bus.add(name, *place, frame);
                }
            }
            _ => return Err(lacks("frames of the interrupt controller")),
        }
        Ok(())
    }

    fn add_its(&mut self, tree: &Fdt<'_>) {
        let facts = chip(tree, its_facts).unwrap_or(Facts::USUAL);
        for node in tree
            .all_nodes()
            .filter(|node| is(node, &["arm,gic-v3-its"]))
        {
            if let Some(place) = registers(&node).first() {
                let its = Its::new(facts, self.bus.ram.clone());
                self.bus.add(node.name, *place, its.clone());
                self.its.push((place.0, its));
            }
        }
    }

    /// Puts PCI functions at these numbers behind the host bridge at a path.
    ///
    /// # Errors
    /// The tree has no such bridge.
    pub fn plug(&mut self, tree: &[u8], path: &str, places: &[u64]) -> Result<(), Fault> {
        let tree = Fdt::new(tree).map_err(|error| Fault::Tree(error.to_string()))?;
        let node = tree.find_node(path).ok_or_else(|| lacks(path))?;
        let place = *registers(&node)
            .first()
            .ok_or_else(|| lacks("configuration space"))?;
        let ecam = Ecam::new(places);
        self.bus.add(node.name, place, ecam.clone());
        self.bridges.push(ecam);
        Ok(())
    }

    fn walker(&self) -> Walker {
        Walker(self.bus.ram.clone())
    }

    /// All IPMMUs are one model: the main instance, and the caches in the tree's order.
    fn add_ipmmus(&mut self, tree: &Fdt<'_>) {
        let all: Vec<_> = tree
            .all_nodes()
            .filter(|node| is(node, &["renesas,ipmmu-"]))
            .collect();
        let is_cache = |node: &&FdtNode<'_, '_>| node.property("renesas,ipmmu-main").is_some();
        let Some(main) = all.iter().find(|node| !is_cache(node)) else {
            return;
        };
        // Whoever touches what does not work rightly has no manual to go by.
        let mut names = main.compatible().into_iter().flat_map(|names| names.all());
        if names.any(|name| DEFECTIVE.contains(&name)) {
            return;
        }
        // Caches in a power domain of their own are off after a reset: whoever touches their registers hangs.
        let is_powered = |node: &&FdtNode<'_, '_>| power(node) == power(main) && is_on(node);
        let caches: Vec<_> = all.iter().filter(is_cache).filter(is_powered).collect();
        let gen4 = is(main, &["renesas,rcar-gen4-ipmmu-vmsa"]);
        let (usual, micro_tlbs) = match gen4 {
            true => (ipmmu::Behaviour::GEN4, 64),
            false => (ipmmu::Behaviour::GEN3, 48),
        };
        let behaviour = ipmmu::Behaviour {
            caches: caches.len(),
            ..usual
        };
        let model = ipmmu::Model::new(behaviour, self.walker());
        let (handle, handles) = ipmmu::handles(&model);
        for (node, handle) in [main]
            .into_iter()
            .chain(caches)
            .zip([handle].into_iter().chain(handles))
        {
            if let Some(place) = registers(node).first() {
                self.bus.add(node.name, *place, Registers(handle));
            }
        }
        self.iommus
            .push((main.name.to_owned(), Iommu::Ipmmu(model, micro_tlbs)));
        let found = tree.all_nodes().find(|node| is(node, &["renesas,prr"]));
        let place = found.and_then(|node| registers(&node).first().copied());
        if let (Some(place), Some(value)) = (place, chip(tree, product)) {
            self.bus.add("the product register", place, Product(value));
        }
    }

    fn add_smmus(&mut self, tree: &Fdt<'_>) {
        let tlb = two::Tlb::default();
        for node in tree.all_nodes() {
            let Some(place) = registers(&node).first().copied() else {
                continue;
            };
            let behaviour = if is(&node, &["arm,mmu-500"]) {
                two::Behaviour::USUAL
            } else if is(&node, &["cavium,smmu-v2"]) {
                two::Behaviour {
                    idr0: THUNDERX_SMMU.0,
                    idr1: THUNDERX_SMMU.1,
                    ..two::Behaviour::USUAL
                }
            } else if is(&node, &["arm,smmu-v3"]) {
                let behaviour = three::Behaviour {
                    one_page: node
                        .property("cavium,cn9900-broken-page1-regspace")
                        .is_some(),
                    ..three::Behaviour::USUAL
                };
                let handle = three::Model::with_memory(behaviour, self.walker());
                self.bus.add(node.name, place, Registers(handle.clone()));
                self.iommus
                    .push((node.name.to_owned(), Iommu::SmmuV3(handle)));
                continue;
            } else {
                continue;
            };
            let handle = two::Model::with_memory(behaviour, self.walker(), tlb.clone());
            self.bus.add(node.name, place, Registers(handle.clone()));
            self.iommus
                .push((node.name.to_owned(), Iommu::SmmuV2(handle)));
        }
    }
}
