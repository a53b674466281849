//! PCI-to-PCI bridges that lead to functions of partitions: root ports, ports of switches, bridges to conventional buses. They are the hypervisor's:
//! it numbers their buses, opens them for the windows of the functions behind them, and has them keep apart what different partitions own.
//!
//! Sections are those of PCI-to-PCI Bridge 1.2 (PPB) and PCI Express Base 5.0 (PCIe).

use model::pci::{Bridge, Place, Port, Window};

use super::capabilities::{capabilities, find, find_extended};
use super::registers::{
    BUSES, COMMAND, HEADER, HEADER_BRIDGE, HEADER_TYPE, ID, INTERRUPT, IO, IO_UPPER, MEMORY,
    MULTI_FUNCTION, PREFETCHABLE, PREFETCHABLE_UPPER, access_control, capability, command, express,
    msi, msi_x,
};
use super::{ConfigurationSpace, NOBODY, turn_off_others};

/// Why functions behind a bridge cannot be given to partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Nothing answers there.
    #[error("no bridge is there")]
    Missing,
    /// It is a function of another kind.
    #[error("it is no PCI-to-PCI bridge")]
    NoBridge,
    /// It does not keep apart what is behind it, and the system says that it does.
    #[error(
        "it lacks the access control services (ACS) {0:#x} of {need:#x}: leave `acs` out, and give all functions behind it to one partition",
        need = access_control::NEEDED
    )]
    Mixes(u16),
    /// It stands for the functions behind it, and the system wants them known by their own numbers.
    #[error(
        "it is no port of PCI Express: the functions behind it are known by its number, so leave `acs` out and write `without = [\"msi\"]`"
    )]
    Stands,
    /// It leads nowhere above 4 GiB.
    #[error("it has no window above 4 GiB: leave `high_window` out")]
    Low,
    /// It does not take the number of its bus.
    #[error("its bus numbers read as {0:#x} when they are written")]
    Unnumbered(u32),
}

/// Sets up every bridge that leads to functions of partitions, and turns off what nobody owns, bus by bus. Tells `each` as [`turn_off_others`].
///
/// # Errors
/// The first bridge behind which functions cannot be given to partitions, and why.
pub fn open(
    bridge: &'static Bridge,
    space: &dyn ConfigurationSpace,
    each: &mut dyn FnMut(Place, u32),
) -> Result<(), (&'static Port, PortError)> {
    turn_off_others(bridge, bridge.first_bus, 32, space, each);
    for port in bridge.ports {
        let devices = set_up(port, space).map_err(|error| (port, error))?;
        turn_off_others(bridge, port.secondary, devices, space, each);
    }
    Ok(())
}

/// Sets the bridge up; how many devices there can be behind it.
fn set_up(port: &Port, space: &dyn ConfigurationSpace) -> Result<u8, PortError> {
    let word = |offset| space.read(port.place, offset);
    let set = |offset, value| space.write(port.place, offset, value);
    if word(ID) == NOBODY {
        return Err(PortError::Missing);
    }
    if word(HEADER) & HEADER_TYPE != HEADER_BRIDGE {
        return Err(PortError::NoBridge);
    }
    let kind = find(&word, capability::EXPRESS).map(|(_, header)| header & express::KIND);
    let is_port = matches!(
        kind,
        Some(express::ROOT_PORT | express::UPSTREAM | express::DOWNSTREAM)
    );
    if !is_port && (port.separates || port.transparent) {
        return Err(PortError::Stands);
    }
    quieten(port, space);
    separate(port, kind == Some(express::UPSTREAM), space)?;
    let buses = [port.subordinate, port.secondary, port.primary];
    let buses = buses
        .into_iter()
        .fold(0, |all, bus| all << 8 | u32::from(bus));
    set(BUSES, buses);
    if word(BUSES) & 0x00ff_ffff != buses {
        return Err(PortError::Unnumbered(word(BUSES)));
    }
    pass_on(port, space)?;
    set(
        COMMAND,
        command::MEMORY | command::MASTER | command::INTX_DISABLE,
    );
    // A link has one device (PCIe 7.3.1), which some answer for at every number.
    Ok(match kind {
        Some(express::ROOT_PORT | express::DOWNSTREAM) => 1,
        _ => 32,
    })
}

/// It interrupts nobody, holds nothing in reset, and takes device numbers for what they are.
fn quieten(port: &Port, space: &dyn ConfigurationSpace) {
    let word = |offset| space.read(port.place, offset);
    for (offset, header) in capabilities(&word) {
        let (offset, value) = match header as u8 {
            capability::MSI => (offset, header & !msi::ENABLE),
            capability::MSI_X => (offset, header & !msi_x::ENABLE | msi_x::MASK),
            capability::EXPRESS if (header & express::VERSION) >> 16 > 1 => {
                let offset = offset + express::CONTROL_2;
                (offset, word(offset) & 0xffff & !express::ARI)
            }
            _ => continue,
        };
        space.write(port.place, offset, value);
    }
    // Bridge control is the upper half (PPB 3.2.5.18).
    space.write(port.place, INTERRUPT, word(INTERRUPT) & 0xffff);
}

/// Turns on all that it has to keep apart what is behind it. An upper port of a switch that is alone has nothing to keep apart (PCIe 6.12.1.2).
fn separate(port: &Port, upper: bool, space: &dyn ConfigurationSpace) -> Result<(), PortError> {
    let word = |offset| space.read(port.place, offset);
    let alone = upper && word(HEADER) & MULTI_FUNCTION == 0;
    let found = find_extended(&word, access_control::ID).map_or(0, |capability| {
        let offset = capability + access_control::SERVICES;
        let services = word(offset) as u16 & (access_control::NEEDED | access_control::BLOCKING);
        space.write(port.place, offset, u32::from(services) << 16);
        // What is on, not what was written.
        (word(offset) >> 16) as u16 & services
    });
    match access_control::NEEDED & !found {
        0 => Ok(()),
        _ if !port.separates || alone => Ok(()),
        lacking => Err(PortError::Mixes(lacking)),
    }
}

/// It passes accesses on to the windows of the functions behind it, and no others.
fn pass_on(port: &Port, space: &dyn ConfigurationSpace) -> Result<(), PortError> {
    // Bases above their limits: closed (PPB 3.2.5.6 to 3.2.5.10). The secondary status is cleared by ones only.
    const CLOSED: u32 = 0x0000_fff0;
    const CLOSED_IO: u32 = 0x0000_00f0;
    let set = |offset, value| space.write(port.place, offset, value);
    // Bits 31:20 of the first and of the last address.
    let ends = |window: Window| {
        let last = window.base + (window.size - 1);
        (last as u32 & 0xfff0_0000) | (window.base as u32 >> 16) & 0xfff0
    };
    set(IO, CLOSED_IO);
    set(IO_UPPER, 0);
    set(MEMORY, port.memory.map_or(CLOSED, ends));
    let upper = port.high.map_or([0; 2], |window| {
        [window.base, window.base + (window.size - 1)].map(|address| (address >> 32) as u32)
    });
    set(PREFETCHABLE, port.high.map_or(CLOSED, ends));
    for (offset, value) in PREFETCHABLE_UPPER.into_iter().zip(upper) {
        set(offset, value);
        if port.high.is_some() && space.read(port.place, offset) != value {
            return Err(PortError::Low);
        }
    }
    Ok(())
}
