//! A system after every rule has passed: nothing is optional that must be there.

use model::partition::FaultPolicy;
use model::system::EndState;
use toml::Spanned;

use crate::board::{Board, Device};
use crate::layout::{Layout, lay_out};
use crate::range::AddressRange;
use crate::raw::{FirmwareCalls, RawConsole, RawPartition, RawSystem};
use crate::resolve::{LoadedImage, Resolved};

/// A checked system.
#[derive(Debug)]
pub(crate) struct System {
    pub name: String,
    pub end: EndState,
    pub board: Board,
    pub pools: Vec<Pool>,
    pub partitions: Vec<Partition>,
}

/// A pool that is used.
#[derive(Debug)]
pub(crate) struct Pool {
    pub name: String,
    /// Board indices of the CPUs that run a virtual CPU.
    pub cpus: Vec<usize>,
}

/// A checked partition.
#[derive(Debug)]
pub(crate) struct Partition {
    pub name: String,
    pub pool: String,
    /// For each virtual CPU, the board index of its physical CPU.
    pub cpus: Vec<usize>,
    /// The memory that it sees.
    pub memory: AddressRange,
    /// Where its memory is written in the system file.
    pub memory_span: std::ops::Range<usize>,
    pub image: LoadedImage,
    pub layout: Layout,
    pub console: Console,
    pub devices: Vec<Device>,
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
        let mut pools = Vec::new();
        let mut partitions: Vec<Partition> = Vec::new();
        // CPUs of each pool that nobody has yet; virtual CPUs take them in order.
        let mut free: Vec<(&str, Vec<usize>)> = Vec::new();
        for pool in &raw.pools {
            let cpus = pool
                .cpus
                .as_ref()?
                .get_ref()
                .iter()
                .map(|cpu| *cpu.get_ref() as usize);
            free.push((pool.name.get_ref(), cpus.collect()));
        }
        for (raw, resolved) in raw.partitions.iter().zip(resolved) {
            partitions.push(partition(raw, resolved, &board, &mut free)?);
        }
        for (name, _) in free {
            let members = partitions.iter().filter(|partition| partition.pool == name);
            let cpus: Vec<usize> = members
                .flat_map(|partition| partition.cpus.iter().copied())
                .collect();
            if !cpus.is_empty() {
                pools.push(Pool {
                    name: name.to_owned(),
                    cpus,
                });
            }
        }
        Some(Self {
            name: raw.name.as_ref()?.get_ref().clone(),
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
}

fn partition(
    raw: &RawPartition,
    resolved: Resolved,
    board: &Board,
    free: &mut [(&str, Vec<usize>)],
) -> Option<Partition> {
    let pool = raw.vcpus.first()?.pool.as_ref()?.get_ref();
    let cpus = &mut free.iter_mut().find(|(name, _)| name == pool)?.1;
    let wanted = raw.vcpus.len();
    if wanted > cpus.len() {
        return None;
    }
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
        pool: pool.clone(),
        cpus: cpus.drain(..wanted).collect(),
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
        dma_trusted: raw.dma_trusted,
        on_fault: raw.fault_policy(),
        firmware_calls: raw.firmware_calls() == FirmwareCalls::All,
    })
}
