//! Bridges, in a fabric that routes as the standards say: by the numbers and windows that are in its registers.

use super::*;
use crate::pci::registers::{BUSES, HEADER_BRIDGE, IO, MEMORY, PREFETCHABLE};
use model::pci::Port;

/// Port types of PCI Express, and a bridge to a conventional bus (PCIe 7.5.3.2).
const ROOT_PORT: u32 = 4;
const UPSTREAM: u32 = 5;
const DOWNSTREAM: u32 = 6;
const TO_CONVENTIONAL: u32 = 7;
/// All that access control can do (PCIe 7.7.8.2).
const ALL_SERVICES: u32 = 0x5f;

/// A function, and the bridge that it is behind by its place in the list.
struct Node {
    above: Option<usize>,
    address: u8,
    words: BTreeMap<u16, Word>,
}

impl Node {
    fn put(&mut self, offset: u16, value: u32, writable: u32) {
        let word = Word {
            value,
            writable,
            cleared: 0,
        };
        self.words.insert(offset, word);
    }

    fn word(&self, offset: u16) -> u32 {
        self.words.get(&offset).map_or(0, |word| word.value)
    }
}

#[derive(Default)]
struct Fabric(Mutex<Vec<Node>>);

impl Fabric {
    /// Adds a function with the header and the identity of a device; its place in the list.
    fn device(&self, above: Option<usize>, address: u8) -> usize {
        let mut node = Node {
            above,
            address,
            words: BTreeMap::new(),
        };
        node.put(ID, 0x1000_1af4, 0);
        node.put(COMMAND, 0x0010_0007, 0xffff);
        node.put(CLASS, 0x0200_0000, 0);
        node.put(HEADER, 0, 0xffff);
        let mut nodes = self.0.lock().unwrap();
        nodes.push(node);
        nodes.len() - 1
    }

    /// Adds a bridge of this PCI Express kind, as firmware may leave it: with bus 1 behind it, all memory open, MSI on, device numbers taken for
    /// functions, held in reset.
    fn bridge(&self, above: Option<usize>, address: u8, kind: u32, services: u32) -> usize {
        let index = self.device(above, address);
        let mut nodes = self.0.lock().unwrap();
        let node = &mut nodes[index];
        node.put(HEADER, HEADER_BRIDGE, 0xffff);
        node.put(CLASS, 0x0604_0000, 0);
        node.put(BUSES, 0x0001_0100, !0);
        node.put(IO, 0xf000, 0xf0f0);
        node.put(MEMORY, 0xfff0_0000, 0xfff0_fff0);
        node.put(PREFETCHABLE, 0xfff1_0001, 0xfff0_fff0);
        node.put(0x28, 0, !0);
        node.put(0x2c, !0, !0);
        node.put(CAPABILITIES, 0x40, 0);
        node.put(INTERRUPT, 0x0040_01ff, 0xffff_00ff);
        node.put(0x40, 0x0181_6005, 0x0071_0000);
        node.put(0x60, 0x0002_0010 | kind << 20, 0);
        node.put(0x88, 0x0000_0020, 0xffff);
        node.put(0x100, 0x1401_0001, 0);
        node.put(0x140, 0x0001_000d, 0);
        node.put(0x144, services, services << 16);
        index
    }

    fn put(&self, index: usize, offset: u16, value: u32, writable: u32) {
        self.0.lock().unwrap()[index].put(offset, value, writable);
    }

    fn word(&self, index: usize, offset: u16) -> u32 {
        self.0.lock().unwrap()[index].word(offset)
    }

    /// Who answers a configuration request: nobody twice.
    fn at(nodes: &[Node], place: BusPlace) -> Option<usize> {
        let bus = u32::from(place >> 8);
        let routed = |node: &Node| match node.above {
            None => bus == 0,
            Some(above) => {
                // Each bridge above passes the request on, the last one as its own bus's (PPB 3.1.2).
                let own = nodes[above].word(BUSES) >> 8 & 0xff == bus;
                let above = std::iter::successors(Some(above), |index| nodes[*index].above);
                own && above.map(|index| nodes[index].word(BUSES)).all(|buses| {
                    (buses >> 8 & 0xff..=buses >> 16 & 0xff).contains(&bus) && bus != 0
                })
            }
        };
        let answers = |node: &Node| node.address == place as u8 && routed(node);
        let found: Vec<usize> = (0..nodes.len())
            .filter(|index| answers(&nodes[*index]))
            .collect();
        assert!(found.len() < 2, "{found:?} answer at {place:#x}");
        found.first().copied()
    }

    /// True when an access of the CPU passes all bridges above the function (PPB 4.2).
    fn leads_to(&self, index: usize, address: u64) -> bool {
        let nodes = self.0.lock().unwrap();
        let above = std::iter::successors(nodes[index].above, |index| nodes[*index].above);
        above.into_iter().all(|bridge| {
            let word = |offset| u64::from(nodes[bridge].word(offset));
            let window = |offset, low: u64, high: u64| {
                let base = high_half(low) | (word(offset) & 0xfff0) << 16;
                let last = high_half(high) | word(offset) & 0xfff0_0000 | 0xf_ffff;
                (base..=last).contains(&address)
            };
            let passes = window(MEMORY, 0, 0) || window(PREFETCHABLE, word(0x28), word(0x2c));
            word(COMMAND) & 2 != 0 && passes
        })
    }
}

const fn high_half(word: u64) -> u64 {
    word << 32
}

impl ConfigurationSpace for Fabric {
    fn read(&self, function: BusPlace, offset: u16) -> u32 {
        let nodes = self.0.lock().unwrap();
        Self::at(&nodes, function).map_or(!0, |index| nodes[index].word(offset))
    }

    fn write(&self, function: BusPlace, offset: u16, value: u32) {
        let mut nodes = self.0.lock().unwrap();
        let at = Self::at(&nodes, function);
        if let Some(word) = at.and_then(|index| nodes[index].words.get_mut(&offset)) {
            word.write(value);
        }
    }
}

/// A port that leads to one bus and keeps functions apart.
const PORT: Port = Port {
    place: 0x10,
    path: "/pcie/00:02.0",
    primary: 0,
    secondary: 5,
    subordinate: 5,
    memory: Some(Window {
        base: 0x1000_0000,
        size: 0x20_0000,
    }),
    high: None,
    separates: true,
    transparent: true,
};

fn host(ports: Vec<Port>, owned: &[BusPlace]) -> &'static Bridge {
    let functions = owned.iter().map(|place| config(*place, LINUX, 1));
    let base = bridge(functions.collect());
    Box::leak(Box::new(Bridge {
        ports: ports.leak(),
        ..*base
    }))
}

fn opened(fabric: &Fabric, bridge: &'static Bridge) -> Result<Vec<BusPlace>, PortError> {
    let mut others = Vec::new();
    let done = open(bridge, fabric, &mut |place, _| others.push(place));
    done.map(|()| others).map_err(|(_, error)| error)
}

#[test]
fn function_behind_a_switch_is_found_at_its_number_and_by_its_window_only() {
    let fabric = Fabric::default();
    let root = fabric.bridge(None, 0x10, ROOT_PORT, ALL_SERVICES);
    let upper = fabric.bridge(Some(root), 0, UPSTREAM, 0);
    let lower = fabric.bridge(Some(upper), 0x18, DOWNSTREAM, ALL_SERVICES);
    let card = fabric.device(Some(lower), 0);
    let ports = vec![
        Port {
            subordinate: 7,
            ..PORT
        },
        Port {
            place: 0x500,
            primary: 5,
            secondary: 6,
            subordinate: 7,
            ..PORT
        },
        Port {
            place: 0x618,
            primary: 6,
            secondary: 7,
            subordinate: 7,
            high: Some(Window {
                base: 0x80_0000_0000,
                size: 1 << 30,
            }),
            ..PORT
        },
    ];
    let bridge = host(ports, &[0x700]);
    assert_eq!(opened(&fabric, bridge), Ok(vec![]));
    assert_eq!(Fabric::at(&fabric.0.lock().unwrap(), 0x700), Some(card));
    for (address, reached) in [
        (0x0fff_ffff, false),
        (0x1000_0000, true),
        (0x101f_ffff, true),
        (0x1020_0000, false),
        (0x80_0000_0000, false),
    ] {
        assert_eq!(fabric.leads_to(card, address), reached, "{address:#x}");
    }
}

#[test]
fn window_above_4_gib_is_open_to_its_last_byte() {
    let fabric = Fabric::default();
    let root = fabric.bridge(None, 0x10, ROOT_PORT, ALL_SERVICES);
    let card = fabric.device(Some(root), 0);
    let window = Window {
        base: 0x7f_c000_0000,
        size: 2 << 30,
    };
    let port = Port {
        memory: None,
        high: Some(window),
        ..PORT
    };
    opened(&fabric, host(vec![port], &[0x500])).unwrap();
    for (address, reached) in [
        (window.base - 1, false),
        (window.base, true),
        (window.base + window.size - 1, true),
        (window.base + window.size, false),
        (0, false),
        (0x1000_0000, false),
    ] {
        assert_eq!(fabric.leads_to(card, address), reached, "{address:#x}");
    }
}

#[test]
fn buses_that_firmware_numbered_alike_do_not_answer_together() {
    let fabric = Fabric::default();
    // Both have bus 1 behind them, as firmware left them; the second is nobody's, and bus 1 is to be behind the first.
    let first = fabric.bridge(None, 0x10, ROOT_PORT, ALL_SERVICES);
    let second = fabric.bridge(None, 0x18, ROOT_PORT, ALL_SERVICES);
    let card = fabric.device(Some(first), 0);
    let other = fabric.device(Some(second), 0);
    let port = Port {
        secondary: 1,
        subordinate: 1,
        ..PORT
    };
    assert_eq!(opened(&fabric, host(vec![port], &[0x100])), Ok(vec![0x18]));
    assert_eq!(Fabric::at(&fabric.0.lock().unwrap(), 0x100), Some(card));
    // Nothing behind a closed bridge writes anything: it is no bus master.
    assert_eq!(fabric.word(second, COMMAND) & 7, 0);
    assert!(!fabric.leads_to(other, 0x1000_0000));
}

#[test]
fn functions_behind_a_bridge_that_nobody_owns_are_turned_off() {
    let fabric = Fabric::default();
    let root = fabric.bridge(None, 0x10, TO_CONVENTIONAL, 0);
    let card = fabric.device(Some(root), 0x08);
    let other = fabric.device(Some(root), 0x20);
    let port = Port {
        separates: false,
        transparent: false,
        ..PORT
    };
    assert_eq!(opened(&fabric, host(vec![port], &[0x508])), Ok(vec![0x520]));
    assert_eq!(fabric.word(other, COMMAND) as u16, 0x400);
    assert_eq!(fabric.word(card, COMMAND) as u16, 7);
}

#[test]
fn link_has_one_device_even_if_it_answers_at_all_numbers() {
    let fabric = Fabric::default();
    let root = fabric.bridge(None, 0x10, ROOT_PORT, ALL_SERVICES);
    for device in 0..32 {
        fabric.device(Some(root), device << 3);
    }
    assert_eq!(opened(&fabric, host(vec![PORT], &[0x500])), Ok(vec![]));
}

#[test]
fn port_is_open_quiet_and_keeps_apart() {
    let fabric = Fabric::default();
    let root = fabric.bridge(None, 0x10, ROOT_PORT, ALL_SERVICES);
    opened(&fabric, host(vec![PORT], &[])).unwrap();
    // Source validation, translation blocking, redirection of requests and completions, upstream forwarding; not direct translated.
    assert_eq!(fabric.word(root, 0x144) >> 16, 0x1f);
    assert_eq!(fabric.word(root, COMMAND) as u16, 0x406);
    assert_eq!(fabric.word(root, 0x40) & 1 << 16, 0, "MSI");
    assert_eq!(fabric.word(root, 0x88) & 1 << 5, 0, "ARI");
    assert_eq!(fabric.word(root, INTERRUPT) >> 16, 0, "bridge control");
    assert_eq!(fabric.word(root, IO) & 0xffff, 0xf0, "I/O");
}

#[test]
fn port_that_lacks_access_control_is_refused_where_the_system_relies_on_it() {
    for (kind, services, lacking) in [
        (ROOT_PORT, 0, 0x1d),
        (ROOT_PORT, 0x1c, 0x01),
        (DOWNSTREAM, 0x19, 0x04),
        (DOWNSTREAM, 0x0d, 0x10),
        (ROOT_PORT, 0x1d, 0),
        // There are no peers of its own that it could redirect to.
        (UPSTREAM, 0, 0),
    ] {
        for separates in [true, false] {
            let fabric = Fabric::default();
            fabric.bridge(None, 0x10, kind, services);
            let port = Port { separates, ..PORT };
            let expected = match lacking {
                0 => Ok(vec![]),
                _ if !separates => Ok(vec![]),
                _ => Err(PortError::Mixes(lacking)),
            };
            assert_eq!(
                opened(&fabric, host(vec![port], &[])),
                expected,
                "{kind} {services:#x}"
            );
        }
    }
}

#[test]
fn upper_port_that_is_one_of_several_functions_needs_access_control() {
    let fabric = Fabric::default();
    let upper = fabric.bridge(None, 0x10, UPSTREAM, 0);
    fabric.put(upper, HEADER, HEADER_BRIDGE | MULTI_FUNCTION, 0);
    let found = opened(&fabric, host(vec![PORT], &[]));
    assert_eq!(found, Err(PortError::Mixes(0x1d)));
}

#[test]
fn access_control_that_does_not_stay_on_is_none() {
    let fabric = Fabric::default();
    let root = fabric.bridge(None, 0x10, ROOT_PORT, 0x1f);
    fabric.put(root, 0x144, 0x1f, 0x000f_0000);
    let found = opened(&fabric, host(vec![PORT], &[]));
    assert_eq!(found, Err(PortError::Mixes(0x10)));
}

#[test]
fn bridge_to_a_conventional_bus_is_refused_where_functions_must_have_their_own_numbers() {
    for (separates, transparent, refused) in [
        (true, true, true),
        (false, true, true),
        (false, false, false),
    ] {
        let fabric = Fabric::default();
        fabric.bridge(None, 0x10, TO_CONVENTIONAL, 0);
        let port = Port {
            separates,
            transparent,
            ..PORT
        };
        let expected = match refused {
            true => Err(PortError::Stands),
            false => Ok(vec![]),
        };
        assert_eq!(opened(&fabric, host(vec![port], &[])), expected);
    }
}

#[test]
fn bridge_that_is_not_what_the_system_says_is_refused() {
    let fabric = Fabric::default();
    assert_eq!(
        opened(&fabric, host(vec![PORT], &[])),
        Err(PortError::Missing)
    );
    fabric.device(None, 0x10);
    assert_eq!(
        opened(&fabric, host(vec![PORT], &[])),
        Err(PortError::NoBridge)
    );

    let fabric = Fabric::default();
    let root = fabric.bridge(None, 0x10, ROOT_PORT, ALL_SERVICES);
    fabric.put(root, BUSES, 0, 0x00ff_00ff);
    let found = opened(&fabric, host(vec![PORT], &[]));
    assert_eq!(found, Err(PortError::Unnumbered(0x0005_0000)));

    let fabric = Fabric::default();
    let root = fabric.bridge(None, 0x10, ROOT_PORT, ALL_SERVICES);
    fabric.put(root, 0x28, 0, 0);
    let high = Some(Window {
        base: 1 << 32,
        size: 1 << 20,
    });
    let port = Port { high, ..PORT };
    assert_eq!(opened(&fabric, host(vec![port], &[])), Err(PortError::Low));
}

#[test]
fn list_of_extended_capabilities_that_comes_back_to_itself_ends() {
    let fabric = Fabric::default();
    let root = fabric.bridge(None, 0x10, ROOT_PORT, ALL_SERVICES);
    fabric.put(root, 0x100, 0x1001_0001, 0);
    let found = opened(&fabric, host(vec![PORT], &[]));
    assert_eq!(found, Err(PortError::Mixes(0x1d)));
}

#[test]
fn partition_sees_a_function_behind_a_bridge_on_its_own_bus() {
    let bus = Bus::with_card(0x500);
    let config = Config {
        address: 0x08,
        ..config(0x500, LINUX, 1)
    };
    let bridge = bridge(vec![config]);
    let function = Function::new(bridge, &bridge.functions[0], bus, 0).unwrap();
    let world = World::new();
    let _ = world
        .hypervisor
        .machine
        .functions
        .set(vec![function].leak());
    let mut guest = world.started(LINUX);
    assert_eq!(guest.load(at(0x08, ID), Width::Word), 0x10d3_8086);
    assert_eq!(guest.load(at(0, ID), Width::Word) as u32, !0);
    guest.store(at(0x08, COMMAND), Width::Half, 6);
    assert_eq!(bus.word(0x500, COMMAND) as u16, 0x406);
}
