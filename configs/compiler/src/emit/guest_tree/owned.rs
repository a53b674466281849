//! What a partition owns, as its device tree may say.

use std::collections::BTreeSet;

use crate::board::{Board, Device, HostMsi};
use crate::range::AddressRange;
use crate::system::{Console, Partition};

use model::ids::{IntId, Mpidr};

/// All that a partition owns, as it sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owned {
    pub memory: Vec<AddressRange>,
    /// Regions of channels.
    pub channels: Vec<AddressRange>,
    /// Registers of devices, and of what is emulated for it; channels are devices, too.
    pub registers: Vec<AddressRange>,
    /// Base of the virtual distributor.
    pub distributor: u64,
    /// Shared interrupts.
    pub interrupts: BTreeSet<IntId>,
    /// Private interrupts, which every CPU has.
    pub private: BTreeSet<IntId>,
    /// One for each virtual CPU.
    pub cpus: Vec<Mpidr>,
}

impl Owned {
    /// What a partition of a board owns.
    pub fn new(board: &Board, partition: &Partition) -> Self {
        let vcpus = partition.vcpus.len();
        let distributor = partition.gic.distributor();
        let gic = [
            distributor,
            partition.gic.cpu_interface(),
            partition.gic.redistributors(vcpus as u64),
        ];
        let devices = partition.devices.iter();
        let mut owned = Self {
            memory: partition.memory.iter().map(|region| region.seen).collect(),
            channels: partition.channels.iter().map(|end| end.seen).collect(),
            registers: gic.into_iter().flatten().collect(),
            distributor: distributor.map_or(0, |range| range.base),
            interrupts: partition.spis(board).collect(),
            private: board
                .timers
                .specifiers
                .iter()
                .map(|[_, number, _]| IntId::new(IntId::FIRST_PPI.wrapping_add(*number)))
                .collect(),
            cpus: board.cpus.iter().take(vcpus).map(|cpu| cpu.mpidr).collect(),
        };
        let ends = partition.channels.iter();
        let pages = ends.flat_map(|end| [Some(end.seen), end.ring]);
        owned.registers.extend(pages.flatten());
        owned
            .registers
            .extend(partition.page.iter().map(|page| page.range));
        let is_its = |msi: &HostMsi| matches!(msi, HostMsi::Its { .. });
        if partition.message_targets().any(is_its) {
            let its = board.gic.its().map(|its| its.registers);
            owned.registers.extend(its);
        }
        let configuration = devices.clone().filter_map(Device::function);
        let configuration = configuration.map(|function| function.configuration);
        owned.registers.extend(configuration);
        let registers = devices.flat_map(|device| device.registers.iter().copied());
        owned.registers.extend(registers);
        if partition.console == Console::Virtual {
            owned.interrupts.insert(board.virtual_uart.intid);
            owned.registers.push(board.virtual_uart.page);
        }
        owned
    }
}
