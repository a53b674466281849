//! A system after every rule has passed: nothing is optional that must be there.

use model::partition::FaultPolicy;
use model::system::EndState;
use toml::Spanned;

use crate::board::{Board, Device};
use crate::layout::{Layout, lay_out};
use crate::processors::{Pool, Vcpu, assign};
use crate::range::AddressRange;
use crate::raw::{FirmwareCalls, RawConsole, RawPartition, RawSystem};
use crate::resolve::{LoadedImage, LoadedOverlay, Resolved};
use crate::supply::Supply;

/// A checked system.
#[derive(Debug)]
pub(crate) struct System {
    pub name: String,
    /// One line about it.
    pub description: Option<String>,
    pub end: EndState,
    pub board: Board,
    pub pools: Vec<Pool>,
    pub partitions: Vec<Partition>,
}

/// A checked partition.
#[derive(Debug)]
pub(crate) struct Partition {
    pub name: String,
    /// The first one boots.
    pub vcpus: Vec<Vcpu>,
    /// The memory that it sees.
    pub memory: AddressRange,
    /// Where its memory is written in the system file.
    pub memory_span: std::ops::Range<usize>,
    pub image: LoadedImage,
    pub layout: Layout,
    pub console: Console,
    pub devices: Vec<Device>,
    /// What they need of other nodes.
    pub supply: Supply,
    /// What is put on its device tree.
    pub overlay: Option<LoadedOverlay>,
    pub dma_trusted: bool,
    pub on_fault: FaultPolicy,
    pub firmware_calls: bool,
}

/// A partition's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Console {
    Virtual,
    None,
    /// The first of its devices.
    Device,
}

impl System {
    /// Puts a checked system together. `None` when something is missing after all, which is then reported already.
    pub fn new(raw: &RawSystem, board: Board, resolved: Vec<Resolved>) -> Option<Self> {
        let (pools, vcpus) = assign(raw)?;
        let mut partitions = Vec::new();
        for ((raw, resolved), vcpus) in raw.partitions.iter().zip(resolved).zip(vcpus) {
            partitions.push(partition(raw, resolved, &board, vcpus)?);
        }
        Some(Self {
            name: raw.name.as_ref()?.get_ref().clone(),
            description: raw.description.as_ref().map(|text| text.get_ref().clone()),
            end: raw
                .hypervisor
                .end
                .as_ref()
                .map_or(EndState::PowerOff, |end| *end.get_ref()),
            board,
            pools,
            partitions,
        })
    }

    /// Board indices of all CPUs that the system uses, in order.
    pub fn cpus(&self) -> Vec<usize> {
        let mut cpus: Vec<usize> = self
            .pools
            .iter()
            .flat_map(|pool| pool.cpus.iter().copied())
            .collect();
        cpus.sort_unstable();
        cpus
    }

    /// The name of a virtual CPU's pool.
    pub fn pool_name(&self, vcpu: &Vcpu) -> &str {
        self.pools.get(vcpu.pool).map_or("", |pool| &pool.name)
    }
}

fn partition(
    raw: &RawPartition,
    resolved: Resolved,
    board: &Board,
    vcpus: Vec<Vcpu>,
) -> Option<Partition> {
    let size = &raw.memory.first()?.size;
    let memory = AddressRange::new(board.ram_base(), *size.get_ref())?;
    let image = resolved.image?;
    let layout = lay_out(&image.image, image.initrd.as_ref(), memory).ok()?;
    let console = match raw.console.as_ref().map(Spanned::get_ref)? {
        RawConsole::Virtual => Console::Virtual,
        RawConsole::None => Console::None,
        RawConsole::Device(_) => Console::Device,
    };
    Some(Partition {
        name: raw.name.as_ref()?.get_ref().clone(),
        vcpus,
        memory,
        memory_span: size.span(),
        image,
        layout,
        console,
        devices: resolved
            .devices
            .into_iter()
            .map(|(_, device)| device)
            .collect(),
        supply: resolved.supply,
        overlay: resolved.overlay,
        dma_trusted: raw.dma_trusted,
        on_fault: raw.fault_policy(),
        firmware_calls: raw.firmware_calls() == FirmwareCalls::All,
    })
}
