//! What the image expects of the board that it boots on. Compared with the real device tree at boot; a difference stops the boot.

use crate::ids::{IntId, Pa};
use crate::memory::PhysicalRange;

/// The board as it was at build time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Name of its folder in `platforms/boards`.
    pub name: &'static str,
    /// First string of the root node's `compatible`.
    pub compatible: &'static str,
    /// Where the firmware or QEMU puts the image: a multiple of 2 MiB. The image runs anywhere; what matters is that
    /// it overlaps no partition, and this is where the compiler kept room for it.
    pub load: Pa,
    /// Room kept for the image with its payload.
    pub image: PhysicalRange,
    /// The console that the hypervisor drives.
    pub console: Console,
    /// The physical interrupt controller.
    pub gic: PhysicalGic,
    /// First address in the `reg` of the interrupt controller's node, as the device tree writes it: where buses above the node translate
    /// addresses it is not the distributor's.
    pub gic_reg: u64,
    /// Its interrupt translation service, if partitions use it: base of the two frames of 64 KiB (Arm IHI 0069H 12.19).
    #[cfg(feature = "its")]
    pub its: Option<Pa>,
    /// PPI of the virtual interface's maintenance interrupt.
    pub maintenance: IntId,
    /// PPI of the EL1 virtual timer.
    pub virtual_timer: IntId,
    /// PPI of the EL1 physical timer.
    pub physical_timer: IntId,
    /// PPI of the EL2 physical timer.
    pub hypervisor_timer: IntId,
}

/// A serial console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// Which driver.
    pub kind: ConsoleKind,
    /// Base of its registers.
    pub base: Pa,
    /// Its interrupt, an SPI.
    pub intid: IntId,
}

/// The serial ports that the hypervisor can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleKind {
    /// Arm PrimeCell PL011 (Arm DDI 0183G).
    Pl011,
    /// Cadence UART of Zynq UltraScale+ and Versal (AMD UG1085).
    Cadence,
    /// Renesas SCIF, with FIFOs of 16 characters.
    Scif,
    /// Renesas HSCIF, with FIFOs of 128 characters.
    Hscif,
    /// 16550 and its kin.
    Ns16550 {
        /// Registers are `1 << shift` bytes apart.
        shift: u8,
        /// Bytes of one access: 1 or 4.
        width: u8,
    },
    /// NXP i.MX UART.
    Imx,
}

/// The physical interrupt controller and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhysicalGic {
    /// GICv2 with the virtualization extensions (Arm IHI 0048B).
    #[cfg(feature = "v2")]
    V2 {
        /// Distributor.
        distributor: Pa,
        /// Physical CPU interface, 8 KiB.
        cpu: Pa,
        /// Virtual interface control (GICH).
        control: Pa,
        /// Virtual CPU interface (GICV), given to guests as their CPU interface.
        virtual_cpu: Pa,
    },
    /// GICv3 or GICv4 (Arm IHI 0069H).
    V3 {
        /// Distributor.
        distributor: Pa,
        /// Regions of redistributors; within a region frames follow one another until `GICR_TYPER.Last`.
        redistributors: &'static [PhysicalRange],
        /// Bytes from one redistributor to the next where the board pads them; `None`: as many as its frames take.
        stride: Option<u64>,
    },
}
