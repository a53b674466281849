//! A system after every rule has passed: nothing is optional that must be there.

use std::collections::{BTreeMap, BTreeSet};

use model::IntId;
use model::device::PassedInterrupt;
use model::its::DeviceIds;
use model::partition::FaultPolicy;
use model::system::EndState;
use toml::Spanned;

use crate::board::{Board, Device, END_INTID, HostMsi};
use crate::eemi;
use crate::guest_gic::{self, GuestGic};
use crate::layout::{Layout, lay_out};
use crate::memory::{self, Arrangement};
use crate::monitor::{ControlPage, Monitor};
use crate::processors::{Pool, Vcpu, assign};
use crate::range::AddressRange;
use crate::raw::channel::Access;
use crate::raw::interrupt::RawInterrupt;
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
    /// UEFI firmware can start the image, too.
    pub efi: bool,
    /// The board is checked at boot, line by line.
    pub self_check: bool,
    /// The console prints a guest's registers on request.
    pub registers: bool,
    pub board: Board,
    pub pools: Vec<Pool>,
    pub partitions: Vec<Partition>,
    pub channels: Vec<Channel>,
    /// RAM kept for the hypervisor's image with its payload.
    pub image: AddressRange,
}

/// A checked partition.
#[derive(Debug)]
pub(crate) struct Partition {
    pub name: String,
    /// The first one boots.
    pub vcpus: Vec<Vcpu>,
    /// The first region holds its image and its device tree.
    pub memory: Vec<Region>,
    pub image: LoadedImage,
    pub layout: Layout,
    pub console: Console,
    pub gic: GuestGic,
    pub devices: Vec<Device>,
    /// What they need of other nodes.
    pub supply: Supply,
    /// What is put on its device tree.
    pub overlay: Option<LoadedOverlay>,
    pub dma_trusted: bool,
    pub on_fault: FaultPolicy,
    pub monitor: Monitor,
    /// A start finds nothing of the run before.
    pub pristine: bool,
    /// All of its calls to the firmware are passed on.
    pub firmware_calls: bool,
    /// What its filtered calls may change.
    pub eemi: Option<eemi::Owned>,
    /// Interrupts that it owns without a device.
    pub bare_interrupts: Vec<PassedInterrupt>,
    /// Its extended SPIs, each with the number that it has inside: an ordinary SPI, since a virtual distributor has no others.
    pub extended: BTreeMap<IntId, IntId>,
    /// Its ends of channels.
    pub channels: Vec<End>,
    /// The interrupt by which it is told of others' failures, if one of them does.
    pub notices: Option<IntId>,
    /// The page by which its programs make Bulkhead's own calls.
    pub page: Option<ControlPage>,
}

/// A region of a partition's memory.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    /// What the partition sees.
    pub seen: AddressRange,
    /// Where it lies.
    pub pa: u64,
    /// Where the system file asks for it.
    pub span: std::ops::Range<usize>,
}

/// Memory that partitions share.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub name: String,
    /// Where it lies.
    pub memory: AddressRange,
}

/// A partition's end of a channel.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// Its channel's name.
    pub name: String,
    /// What the partition sees.
    pub seen: AddressRange,
    /// Where it lies.
    pub pa: u64,
    pub writable: bool,
    /// It is mapped as Device memory.
    pub uncached: bool,
    /// Its place among the ends of the channel.
    pub number: u32,
    /// The interrupt by which the others notify it.
    pub doorbell: Option<IntId>,
    /// The page by which it notifies the others, if one of them can be.
    pub ring: Option<AddressRange>,
}

/// A partition's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Console {
    Virtual,
    None,
    /// The first of its devices.
    Device,
}

/// A switch that the file turns on.
fn is_on(switch: &Option<Spanned<bool>>) -> bool {
    switch.as_ref().is_some_and(|on| *on.get_ref())
}

impl System {
    /// True when a partition needs more of the health monitor than `on_fault` alone.
    pub fn is_monitored(&self) -> bool {
        let mut all = self.partitions.iter();
        all.any(|partition| !partition.monitor.is_trivial())
    }

    /// True when a partition may read the console of another one.
    pub fn reads_consoles(&self) -> bool {
        let mut all = self.partitions.iter();
        all.any(|partition| !partition.monitor.may_read_console.is_empty())
    }

    /// Puts a checked system together. `None` when something is missing after all, which is then reported already.
    pub fn new(
        raw: &RawSystem,
        board: Board,
        resolved: Vec<Resolved>,
        places: Arrangement,
    ) -> Option<Self> {
        let (pools, vcpus) = assign(raw)?;
        let mut partitions = Vec::new();
        let parts = raw
            .partitions
            .iter()
            .zip(resolved)
            .zip(vcpus)
            .zip(places.partitions);
        for (((raw, resolved), vcpus), regions) in parts {
            partitions.push(partition(&board, raw, resolved, vcpus, &regions)?);
        }
        let channels = channels(raw, &places.channels, &mut partitions, &board)?;
        notices(&mut partitions, &board)?;
        let names: Vec<String> = partitions.iter().map(|one| one.name.clone()).collect();
        for (partition, page) in partitions.iter_mut().zip(&places.pages) {
            partition.page = page.map(|page| ControlPage::new(page, &partition.monitor, &names));
        }
        Some(Self {
            name: raw.name.as_ref()?.get_ref().clone(),
            description: raw.description.as_ref().map(|text| text.get_ref().clone()),
            end: raw
                .hypervisor
                .end
                .as_ref()
                .map_or(EndState::PowerOff, |end| *end.get_ref()),
            efi: is_on(&raw.hypervisor.efi),
            self_check: is_on(&raw.hypervisor.self_check),
            registers: is_on(&raw.hypervisor.registers),
            board,
            pools,
            partitions,
            channels,
            image: places.image?,
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

impl Partition {
    /// Its memory in bytes, channels not counted.
    pub fn memory_size(&self) -> u64 {
        self.memory.iter().map(|region| region.seen.size).sum()
    }

    /// Where its memory is written in the system file.
    pub fn memory_span(&self) -> std::ops::Range<usize> {
        self.memory
            .first()
            .map_or(0..0, |region| region.span.clone())
    }

    /// Physical interrupts that it owns, device by device.
    pub fn interrupts(&self) -> impl Iterator<Item = PassedInterrupt> {
        let devices = self.devices.iter().flat_map(|device| &device.interrupts);
        let passed = devices.map(|one| PassedInterrupt {
            seen: self.seen(one.intid),
            ..PassedInterrupt::new(one.intid, one.trigger)
        });
        passed.chain(self.bare_interrupts.iter().copied())
    }

    /// The number by which it knows a physical interrupt that it owns.
    pub fn seen(&self, intid: IntId) -> IntId {
        self.extended.get(&intid).copied().unwrap_or(intid)
    }

    /// Where messages of its devices go; each controller once.
    pub fn message_targets(&self) -> impl Iterator<Item = &HostMsi> {
        let targets = self.devices.iter().filter_map(Device::msi);
        let mut seen = BTreeSet::new();
        targets.filter(move |msi| seen.insert(msi.node()))
    }

    /// DeviceIDs of its devices at the ITS, in order; none when nothing of it signals there.
    pub fn its_devices(&self) -> Vec<DeviceIds> {
        let targets = self.devices.iter().filter_map(Device::msi);
        let mut found: Vec<DeviceIds> = targets
            .filter_map(|msi| match msi {
                HostMsi::Its { devices, .. } => Some(devices.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        found.sort_by_key(|ids| ids.first);
        found.dedup();
        found
    }

    /// SPIs that mean something to it: those that it owns, its virtual console's, its doorbells, and what tells it of others' failures.
    pub fn spis<'a>(&'a self, board: &'a Board) -> impl Iterator<Item = IntId> + 'a {
        let console = (self.console == Console::Virtual).then_some(board.virtual_uart.intid);
        let doorbells = self.channels.iter().filter_map(|end| end.doorbell);
        self.interrupts()
            .map(|one| one.seen)
            .chain(console)
            .chain(doorbells)
            .chain(self.notices)
    }
}

fn partition(
    board: &Board,
    raw: &RawPartition,
    resolved: Resolved,
    vcpus: Vec<Vcpu>,
    regions: &[memory::Region],
) -> Option<Partition> {
    let region = |region: &memory::Region| {
        Some(Region {
            seen: region.seen()?,
            pa: region.pa?,
            span: region.span.clone(),
        })
    };
    let memory = regions.iter().map(region).collect::<Option<Vec<_>>>()?;
    let image = resolved.image?;
    let layout = lay_out(&image.image, image.initrd.as_ref(), memory.first()?.seen).ok()?;
    let console = match raw.console.as_ref().map(Spanned::get_ref)? {
        RawConsole::Virtual => Console::Virtual,
        RawConsole::None => Console::None,
        RawConsole::Device(_) => Console::Device,
    };
    let eemi = match raw.firmware_calls() {
        // What cannot be filtered is a limit, reported by itself.
        FirmwareCalls::Mediated => {
            let devices = resolved.devices.iter().map(|(_, device)| device);
            eemi::owned(&board.tree, devices, &resolved.supply.needs).ok()
        }
        FirmwareCalls::None | FirmwareCalls::All => None,
    };
    let mut partition = Partition {
        name: raw.name.as_ref()?.get_ref().clone(),
        vcpus,
        memory,
        image,
        layout,
        console,
        gic: GuestGic::of(board, raw.gic_version()),
        devices: resolved
            .devices
            .into_iter()
            .map(|(_, device)| device)
            .collect(),
        eemi,
        supply: resolved.supply,
        overlay: resolved.overlay,
        dma_trusted: raw.dma_trusted,
        on_fault: raw.fault_policy(),
        monitor: Monitor::of(raw),
        pristine: raw.pristine.as_ref().is_some_and(|one| *one.get_ref()),
        firmware_calls: raw.firmware_calls() == FirmwareCalls::All,
        bare_interrupts: raw.interrupts.iter().map(passed).collect(),
        extended: BTreeMap::new(),
        channels: Vec::new(),
        notices: None,
        page: None,
    };
    let owned = partition.interrupts().map(|one| one.intid);
    let extended: BTreeSet<IntId> = owned.filter(|one| one.extended_spi().is_some()).collect();
    for intid in extended {
        let seen = free_spi(&partition, board)?;
        partition.extended.insert(intid, seen);
    }
    Some(partition)
}

fn passed(raw: &RawInterrupt) -> PassedInterrupt {
    let intid = IntId::new(IntId::FIRST_SPI.saturating_add(*raw.spi.get_ref()));
    PassedInterrupt::new(intid, raw.trigger)
}

/// Puts channels together and gives each partition its ends.
fn channels(
    raw: &RawSystem,
    places: &[Option<memory::ChannelMemory>],
    partitions: &mut [Partition],
    board: &Board,
) -> Option<Vec<Channel>> {
    let mut channels = Vec::new();
    for (raw, place) in raw.channels.iter().zip(places) {
        let (name, place) = (raw.name.as_ref()?.get_ref(), place.as_ref()?);
        let memory = place.lies()?;
        for (number, end) in raw.ends().iter().enumerate() {
            // A partition has one end, and a system few partitions.
            let place_in_list = u32::try_from(number).ok()?;
            let partition = end.partition.get_ref();
            let partition = partitions.iter_mut().find(|one| one.name == *partition)?;
            let doorbell = match end.doorbell {
                true => Some(free_spi(partition, board)?),
                false => None,
            };
            partition.channels.push(End {
                name: name.clone(),
                seen: place.seen(number)?,
                pa: memory.base,
                writable: end.access == Access::ReadWrite,
                uncached: raw.uncached,
                number: place_in_list,
                doorbell,
                ring: place.doorbell(number),
            });
        }
        channels.push(Channel {
            name: name.clone(),
            memory,
        });
    }
    Some(channels)
}

/// Gives an interrupt to each partition that is told of others' failures.
fn notices(partitions: &mut [Partition], board: &Board) -> Option<()> {
    let told = partitions.iter().flat_map(|one| &one.monitor.notify);
    let told: BTreeSet<String> = told.cloned().collect();
    for partition in partitions {
        if told.contains(&partition.name) {
            partition.notices = Some(free_spi(partition, board)?);
        }
    }
    Some(())
}

/// The highest free SPI among as many as the virtual distributor has for the others, or the next one: what a device brings along later
/// is most likely low.
fn free_spi(partition: &Partition, board: &Board) -> Option<IntId> {
    let used: BTreeSet<IntId> = partition.spis(board).filter(|one| one.is_spi()).collect();
    let spis = u32::from(guest_gic::spis(used.iter().copied()));
    let own = (IntId::FIRST_SPI..IntId::FIRST_SPI + spis).rev();
    let more = IntId::FIRST_SPI + spis..END_INTID;
    own.chain(more)
        .map(IntId::new)
        .find(|one| !used.contains(one))
}
