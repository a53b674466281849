//! The console UART.

use model::ids::IntId;
use model::memory::PAGE;

use super::gic::END_INTID;
use super::{Board, BoardError};
use crate::devicetree::interrupts::{Interrupt, Line, lines};
use crate::devicetree::{NodeId, Tree, TreeError, addresses::registers};
use crate::range::AddressRange;

/// Which registers a serial port has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UartKind {
    /// Arm PrimeCell PL011.
    Pl011,
    /// Cadence UART of Zynq and ZynqMP.
    Cadence,
    /// Renesas SCIF.
    Scif,
    /// Renesas HSCIF.
    Hscif,
    /// 16550 and its kin, Synopsys' among them.
    Ns16550,
    /// NXP i.MX UART.
    Imx,
    /// NXP LPUART.
    Lpuart,
    /// One that Bulkhead does not know.
    Other,
}

impl UartKind {
    /// What the node's `compatible` says.
    pub fn of(tree: &Tree, node: NodeId) -> Self {
        const KINDS: &[(UartKind, &[&str])] = &[
            (UartKind::Pl011, &["arm,pl011", "arm,sbsa-uart"]),
            (
                UartKind::Cadence,
                &["cdns,uart-r1p8", "cdns,uart-r1p12", "xlnx,xuartps"],
            ),
            (UartKind::Hscif, &["renesas,hscif"]),
            // RZ's SCIFs name only their own chips.
            (
                UartKind::Scif,
                &[
                    "renesas,scif",
                    "renesas,scif-r9a07g044",
                    "renesas,scif-r9a09g057",
                ],
            ),
            (
                UartKind::Ns16550,
                &[
                    "ns16550",
                    "ns16550a",
                    "snps,dw-apb-uart",
                    "ti,am654-uart",
                    "mediatek,mt6577-uart",
                    "nvidia,tegra20-uart",
                    "brcm,bcm2835-aux-uart",
                    "nuvoton,npcm750-uart",
                ],
            ),
            (UartKind::Imx, &["fsl,imx6q-uart", "fsl,imx21-uart"]),
            (
                UartKind::Lpuart,
                &[
                    "fsl,imx7ulp-lpuart",
                    "fsl,imx8qxp-lpuart",
                    "fsl,ls1021a-lpuart",
                    "fsl,vf610-lpuart",
                ],
            ),
        ];
        let is = |(_, names): &&(Self, &[&str])| tree.is_compatible(node, names);
        KINDS.iter().find(is).map_or(Self::Other, |(kind, _)| *kind)
    }

    /// The feature of the image that has its driver; `None` when there is no driver.
    pub const fn driver(self) -> Option<&'static str> {
        match self {
            Self::Pl011 => Some("pl011"),
            Self::Cadence => Some("cadence"),
            Self::Scif | Self::Hscif => Some("scif"),
            Self::Ns16550 => Some("ns16550"),
            Self::Imx => Some("imx"),
            Self::Lpuart | Self::Other => None,
        }
    }

    /// As people write it, with an article.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pl011 => "a PL011",
            Self::Cadence => "a Cadence UART",
            Self::Scif => "a SCIF",
            Self::Hscif => "an HSCIF",
            Self::Ns16550 => "a 16550",
            Self::Imx => "an i.MX UART",
            Self::Lpuart => "an LPUART",
            Self::Other => "a serial port of an unknown kind",
        }
    }
}

/// The serial port that is the board's console.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uart {
    pub node: NodeId,
    pub kind: UartKind,
    /// Its first registers. They need not fill pages: some boards have several ports in one.
    pub registers: AddressRange,
    /// How the registers of a 16550 lie.
    pub layout: Layout,
    /// Its first interrupt, when that is an SPI that a partition can have, too. `None` on boards that have none, lead it through
    /// another controller, or write it in a way that no binding defines.
    pub interrupt: Option<Interrupt>,
}

/// How a board has put the byte-wide registers of a 16550 (Devicetree Specification 0.4, 4.2.2; the kernel's `8250.yaml`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// `reg-shift`: registers are `1 << shift` bytes apart.
    pub shift: u8,
    /// `reg-io-width`: bytes of one access, 1 or 4.
    pub width: u8,
}

impl Layout {
    fn of(tree: &Tree, node: NodeId) -> Result<Self, TreeError> {
        /// Those whose bindings have neither property, since all of them are alike.
        const WORDS: &[&str] = &[
            "ti,am654-uart",
            "mediatek,mt6577-uart",
            "brcm,bcm2835-aux-uart",
        ];
        if tree.is_compatible(node, WORDS) {
            return Ok(Self { shift: 2, width: 4 });
        }
        let number = |name, allowed: &[u32], otherwise| match tree.cell(node, name)? {
            None => Ok(otherwise),
            Some(value) if allowed.contains(&value) => Ok(value as u8),
            Some(_) => {
                let known: Vec<String> = allowed.iter().map(u32::to_string).collect();
                let what = format!("is none of {} that a 16550 can have", known.join(", "));
                Err(tree.error(node, name, what))
            }
        };
        Ok(Self {
            shift: number("reg-shift", &[0, 1, 2, 3, 4], 0)?,
            width: number("reg-io-width", &[1, 4], 1)?,
        })
    }
}

/// Where partitions have their virtual console, a PL011.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VirtualUart {
    /// One page: the one in which the board's console begins.
    pub page: AddressRange,
    /// The SPI of the board's console, or else one that no device of the board raises.
    pub intid: IntId,
}

/// Finds the console: what `board.toml` names, or else `/chosen/stdout-path`.
pub(super) fn read(tree: &Tree, gic: NodeId, named: Option<&str>) -> Result<Uart, BoardError> {
    let chosen = tree.find("/chosen");
    let path = chosen.and_then(|chosen| tree.string(chosen, "stdout-path"));
    let (name, says) = match (named, path) {
        (Some(name), _) => (name, "`console` in board.toml"),
        // "serial0:115200n8": what follows the colon is for the driver.
        (None, Some(path)) => (
            path.split(':').next().unwrap_or_default(),
            "`/chosen/stdout-path`",
        ),
        (None, None) => {
            let what = "the device tree has no `/chosen/stdout-path`";
            return Err(BoardError::Console(what.to_owned()));
        }
    };
    let node = tree
        .named(name)
        .ok_or_else(|| BoardError::Console(format!("{says} names no node: {name}")))?;
    uart(tree, gic, node)
}

/// A node as the console.
pub(super) fn uart(tree: &Tree, gic: NodeId, node: NodeId) -> Result<Uart, BoardError> {
    let registers = registers(tree, node)?.first().copied().ok_or_else(|| {
        BoardError::Console(format!("the console {} has no registers", tree.path(node)))
    })?;
    let interrupt = match lines(tree, node, gic)?.into_iter().next() {
        Some(Line::Gic(one)) => Some(one).filter(is_usable),
        Some(Line::Other { .. }) | None => None,
    };
    let kind = UartKind::of(tree, node);
    let layout = match kind {
        UartKind::Ns16550 => Layout::of(tree, node)?,
        _ => Layout { shift: 0, width: 1 },
    };
    Ok(Uart {
        node,
        kind,
        layout,
        registers,
        interrupt,
    })
}

fn is_usable(interrupt: &Interrupt) -> bool {
    interrupt.defined && interrupt.intid.is_spi() && interrupt.intid.get() < END_INTID
}

/// Where virtual consoles go.
pub(super) fn virtual_uart(
    tree: &Tree,
    gic: NodeId,
    uart: &Uart,
) -> Result<VirtualUart, TreeError> {
    let page = AddressRange {
        size: 1,
        ..uart.registers
    };
    let page = page
        .outward(PAGE)
        .ok_or_else(|| tree.error(uart.node, "reg", "lies in the last page of all addresses"))?;
    let intid = match uart.interrupt {
        Some(interrupt) => interrupt.intid,
        None => free_spi(tree, gic),
    };
    Ok(VirtualUart { page, intid })
}

/// The first SPI that no node of the tree raises. When all are raised, some device must share with the console.
fn free_spi(tree: &Tree, gic: NodeId) -> IntId {
    let mut raised = vec![false; END_INTID as usize];
    // What cannot be read belongs to no device that could be given away.
    for line in tree
        .nodes()
        .flat_map(|node| lines(tree, node, gic).unwrap_or_default())
    {
        if let Line::Gic(one) = line
            && let Some(seen) = raised.get_mut(one.intid.get() as usize)
        {
            *seen = true;
        }
    }
    let first =
        (IntId::FIRST_SPI..END_INTID).find(|intid| raised.get(*intid as usize) == Some(&false));
    IntId::new(first.unwrap_or(IntId::FIRST_SPI))
}

impl Board {
    /// Takes another device as the hypervisor's console: `console` of a system file.
    ///
    /// # Errors
    /// The device cannot be a console.
    pub fn use_console(&mut self, node: NodeId) -> Result<(), BoardError> {
        let console = uart(&self.tree, self.gic.node, node)?;
        self.virtual_uart = virtual_uart(&self.tree, self.gic.node, &console)?;
        self.console = console;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Gic, board, device, virt};

    #[test]
    fn kind_is_read_from_compatible() {
        for (names, kind) in [
            (
                &b"xlnx,zynqmp-uart\0cdns,uart-r1p12\0"[..],
                UartKind::Cadence,
            ),
            (
                b"renesas,scif-r8a7795\0renesas,rcar-gen3-scif\0renesas,scif\0",
                UartKind::Scif,
            ),
            (
                b"renesas,hscif-r8a779f0\0renesas,rcar-gen4-hscif\0renesas,hscif\0",
                UartKind::Hscif,
            ),
            (
                b"rockchip,rk3399-uart\0snps,dw-apb-uart\0",
                UartKind::Ns16550,
            ),
            (b"fsl,imx8mq-uart\0fsl,imx6q-uart\0", UartKind::Imx),
            (b"qcom,geni-debug-uart\0", UartKind::Other),
        ] {
            let mut tree = virt(Gic::V3);
            let uart = tree.find("/pl011").unwrap();
            tree.set(uart, "compatible", names);
            assert_eq!(board(tree).console.kind, kind);
        }
    }

    #[test]
    fn console_with_a_usable_interrupt_lends_it_to_virtual_ones() {
        let board = board(virt(Gic::V3));
        assert_eq!(board.virtual_uart.intid.get(), 33);
        assert_eq!(
            board.virtual_uart.page,
            AddressRange::new(0x900_0000, 0x1000).unwrap()
        );
    }

    #[test]
    fn console_without_a_usable_interrupt_gets_a_free_one_for_virtual_ones() {
        // SPI 0 is taken; ThunderX writes 21 as a PPI.
        for interrupts in [&[1, 21, 4][..], &[]] {
            let mut tree = virt(Gic::V3);
            device(&mut tree, "timer@9300000", "arm,sp804", 0x930_0000, 0);
            let uart = tree.find("/pl011").unwrap();
            tree.set_cells(uart, "interrupts", interrupts);
            let board = board(tree);
            assert!(board.console.interrupt.is_none());
            assert_eq!(board.virtual_uart.intid.get(), 33);
        }
    }

    #[test]
    fn console_within_a_page_puts_virtual_ones_at_its_start() {
        let mut tree = virt(Gic::V3);
        let uart = tree.find("/pl011").unwrap();
        tree.set_cells(uart, "reg", &[0, 0x900_0600, 0, 0x100]);
        let board = board(tree);
        assert_eq!(board.virtual_uart.page.base, 0x900_0000);
    }

    #[test]
    fn registers_of_a_16550_lie_as_its_node_says() {
        for (names, properties, layout) in [
            ("ns16550a", &[][..], (0, 1)),
            (
                "snps,dw-apb-uart",
                &[("reg-shift", 2), ("reg-io-width", 4)],
                (2, 4),
            ),
            ("ti,am654-uart", &[], (2, 4)),
        ] {
            let mut tree = virt(Gic::V3);
            let uart = tree.find("/pl011").unwrap();
            tree.set_string(uart, "compatible", names);
            for (name, value) in properties {
                tree.set_cells(uart, name, &[*value]);
            }
            let Layout { shift, width } = board(tree).console.layout;
            assert_eq!((shift, width), layout);
        }
    }

    #[test]
    fn layout_that_no_16550_has_is_refused() {
        for (name, value) in [("reg-shift", 12), ("reg-io-width", 2)] {
            let mut tree = virt(Gic::V3);
            let node = tree.find("/pl011").unwrap();
            tree.set_string(node, "compatible", "ns16550a");
            tree.set_cells(node, name, &[value]);
            let gic = tree.find("/intc").unwrap();
            assert!(matches!(
                uart(&tree, gic, node),
                Err(BoardError::Tree(error)) if error.to_string().contains(name)
            ));
        }
    }

    #[test]
    fn other_port_can_be_made_the_console() {
        let mut tree = virt(Gic::V3);
        let other = device(
            &mut tree,
            "serial@9100000",
            "cdns,uart-r1p12",
            0x910_0000,
            10,
        );
        let mut board = board(tree);
        board.use_console(other).unwrap();
        assert_eq!(
            (board.console.kind, board.virtual_uart.intid.get()),
            (UartKind::Cadence, 42)
        );
        let timer = board.tree.find("/timer").unwrap();
        assert!(board.use_console(timer).is_err());
    }
}
