//! Every code that a finding can carry, with its explanation. A code is never reused for another meaning.

use std::fmt::{self, Display};

use serde::Serialize;

/// The code of a finding: `BH` and four digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Code(&'static str);

impl Code {
    /// The code as text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Declares a constant per code and the table of all of them.
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $text:literal;)*) => {
        $(#[doc = $title] pub const $name: Code = Code($code);)*
        /// (code, title, explanation).
        const ALL: &[(&str, &str, &str)] = &[$(($code, $title, $text)),*];
    };
}

codes! {
    UNREADABLE = "BH0100", "file cannot be read",
        "The system file could not be read, or is not UTF-8 text. Check the path that was given on the command line.";
    SYNTAX = "BH0101", "not TOML",
        "The text is not TOML 1.0. The marked place is where reading stopped making sense; the cause is there or just before: a missing quote, bracket or comma.";
    UNKNOWN_FIELD = "BH0102", "unknown field",
        "Fields are never ignored: a misspelt field would silently mean its default. The nearest known name is offered.";
    MISSING_FIELD = "BH0103", "missing field",
        "A field that has no default is missing. Sizes in particular are always written out.";
    WRONG_TYPE = "BH0104", "wrong type",
        "The field is there but holds another kind of value. Sizes and addresses are strings with a unit or in hexadecimal.";
    BAD_SIZE = "BH0105", "not a size or address",
        "A size is a number with a unit in one string (\"64KiB\", \"256MiB\", \"2GiB\"), or bytes in hexadecimal (\"0x1000\"). An address is a hexadecimal string. A bare number is refused, because nobody can see its unit.";
    ZERO_SIZE = "BH0106", "size is zero",
        "A size of zero is always a mistake; it is refused rather than given a meaning.";
    UNKNOWN_VALUE = "BH0107", "value is none of the known ones",
        "The field takes one of a few words. The nearest is offered.";
    OUT_OF_RANGE = "BH0108", "number out of range",
        "The number is negative, larger than anything the field could mean, or zero where zero means nothing.";
    BAD_TIME = "BH0109", "not a time",
        "A time is a number with a unit in one string (\"200us\", \"1.5ms\", \"2s\"); the units are ns, us, ms, s, min and h. A bare number is refused, because nobody can see its unit. Time is counted in whole nanoseconds.";
    BAD_FREQUENCY = "BH0110", "not a frequency",
        "A frequency is a number with a unit in one string (\"100MHz\", \"32768Hz\", \"66.66MHz\"); the units are Hz, kHz, MHz and GHz. It is counted in whole hertz and is never zero.";
    TIME_OUT_OF_RANGE = "BH0111", "time out of range",
        "The time is zero, shorter than the machine can keep, or longer than the field can mean. Times of a schedule are at least 10us: below that, switching costs more than it gives.";

    BAD_NAME = "BH0201", "bad name",
        "Names of systems, pools and partitions are 1 to 15 characters of a-z, 0-9 and `-`: they prefix console lines and name files. A partition cannot be named `hv`: that is the hypervisor's own prefix.";
    DUPLICATE_PARTITION = "BH0202", "two partitions with one name",
        "Console lines, log files and reports name a partition by its name alone.";
    UNKNOWN_POOL = "BH0203", "unknown pool",
        "A partition's `pool` names a `[pools.<name>]` table of the same file.";
    UNUSED_POOL = "BH0204", "unused pool",
        "No partition runs in this pool, so its CPUs stay parked.";
    CPU_NOT_ON_BOARD = "BH0205", "CPU not on the board",
        "CPUs are numbered from 0 in the order of the enabled CPU nodes under /cpus of the board's device tree.";
    CPU_IN_TWO_POOLS = "BH0206", "CPU in two pools",
        "A physical CPU belongs to one pool: otherwise two policies would decide about its time.";
    CPU_TWICE = "BH0207", "CPU listed twice",
        "The same CPU is listed twice in one pool.";
    POOL_WITHOUT_CPUS = "BH0208", "pool without CPUs",
        "A pool needs at least one CPU.";
    TOO_MANY_VCPUS = "BH0209", "more virtual CPUs than CPUs",
        "In a dedicated pool every virtual CPU owns a physical CPU: the virtual CPUs of all its partitions together cannot exceed its CPUs.";
    NO_VCPUS = "BH0210", "no virtual CPU",
        "A partition needs at least one virtual CPU to run.";
    UNKNOWN_POLICY = "BH0212", "unknown policy",
        "The scheduling policies are `dedicated` (one virtual CPU owns one physical CPU), `rtds` (a budget in each period) and `cyclic` (windows of a frame that repeats).";
    TOO_MANY_PARTITIONS = "BH0213", "too many partitions",
        "Each partition needs a VMID of its own. Every Arm core has 8 VMID bits, and 0 stands for no partition: 255 are left.";
    NO_PARTITION = "BH0214", "no partition",
        "A system without partitions would have nothing to run.";
    IDLE_CPU = "BH0215", "CPU of a pool stays idle",
        "A dedicated pool has more CPUs than its partitions have virtual CPUs, or everything that runs in another pool fits fewer CPUs than it has: each virtual CPU goes to the first CPU on which it fits. The rest stays parked.";
    PARTITION_TOO_WIDE = "BH0216", "too many virtual CPUs in one partition",
        "The virtual interrupt controller addresses 8 CPUs, as many as a GICv2 has target bits. More virtual CPUs than that go to several partitions.";
    FIELD_OF_OTHER_POLICY = "BH0217", "field of another policy",
        "`period`, `budget`, `extra_time` and `priority` say when a virtual CPU runs in a pool with the policy `rtds`; `windows` and the pool's `major_frame` say it in a `cyclic` pool. In a `dedicated` pool a virtual CPU always runs. A field of another policy would have no effect; it is refused. A partition may say it for all of its virtual CPUs when it suits at least one of them.";
    SCHEDULE_MISSING = "BH0218", "virtual CPU without its time",
        "In a pool with the policy `rtds` each virtual CPU needs a `period` and a `budget`. In a `cyclic` pool it needs `windows`, and the pool a `major_frame`. There are no defaults: how much time a guest needs is known only to who builds the system.";
    BUDGET_TOO_LARGE = "BH0219", "budget longer than the period",
        "A virtual CPU gets its budget once in each period, so the budget is at most the period.";
    BAD_WINDOW = "BH0220", "bad window",
        "The windows of a cyclic pool lie within its major frame: each ends at the frame's end or before, and those of one virtual CPU do not overlap. A window that runs over the frame's end is written as two.";
    WINDOWS_OVERLAP = "BH0221", "windows overlap",
        "A physical CPU runs one virtual CPU at a time. No assignment of the pool's virtual CPUs to its physical ones was found in which no two windows on one CPU overlap. The notes say what is in the way on each CPU when the virtual CPUs take the first CPU that fits, in the order of the file.";
    BAD_AFFINITY = "BH0222", "affinity outside the pool",
        "`affinity` lists the CPUs on which a virtual CPU may run: at least one, each of its pool, none twice. It cannot reach beyond the pool: another policy decides there.";
    NO_CPU_LEFT = "BH0223", "affinities leave no CPU of its own",
        "In a dedicated pool each virtual CPU owns a physical CPU. The virtual CPUs that are named may run on fewer CPUs than they are, so whatever the assignment, one of them is left without. All assignments were considered.";
    NOT_SCHEDULABLE = "BH0224", "too little time",
        "Each virtual CPU of an rtds pool runs on one of its physical CPUs, where it must get its whole budget in each of its periods whatever the others do. It does when its budget, plus all that the others on that CPU can take in the same time, is at most its period. More urgent priorities count with all that they can take in any such interval; equal priorities with what they can take with deadlines that are not later; less urgent ones do not count. Others can take more than their share: one that wakes late in its period uses its whole budget at once. Therefore a short period beside a long budget needs a more urgent `priority`. The notes say by how much each CPU is overrun; the cost of switching is not counted.";
    UNKNOWN_PARTITION = "BH0225", "unknown partition",
        "`start.after`, `may_control`, `may_watch`, `may_read_console`, `notify` and the ends of a channel name partitions of the same file.";
    START_CYCLE = "BH0226", "partitions wait for one another",
        "Each of these partitions starts only after the next, and the last after the first: none would ever start.";
    CHANNEL_ENDS = "BH0227", "ends of a channel",
        "A channel joins two or more partitions, each of them once.";
    CHANNEL_WITHOUT_WRITER = "BH0228", "nobody writes a channel",
        "All ends of the channel are read-only, so its memory would stay zero for ever.";
    DUPLICATE_CHANNEL = "BH0229", "two channels with one name",
        "Guests find a channel by its name in their device tree.";
    RESTART_FIELD = "BH0230", "limit of restarts without restarts",
        "`limit` and `back_off` say how often and how soon a partition is started again, `then` what comes after the last time. Where no failure restarts the partition, or without a limit, they would have no effect.";
    NOT_ONE_LINE = "BH0231", "more than one line",
        "A description is one line of text without line breaks, tabs or other control characters.";
    LISTED_TWICE = "BH0232", "listed twice",
        "The order of this list means nothing and an entry counts once, so the second place would silently do nothing. Perhaps another entry was meant.";
    TOO_MANY_CHANNELS = "BH0233", "too many channels",
        "A system has at most 64 channels. More uses can share one: a channel is memory, which its partitions divide as they like.";
    NEVER_STARTS = "BH0234", "partition that nobody can start",
        "A partition with `automatic = false` waits until another one starts it by a call. The file grants nobody that right, so it would never run.";
    MIXED_CPUS = "BH0235", "virtual CPU moves between types of CPUs",
        "With `placement = \"global\"` a virtual CPU moves between the CPUs of its affinity. It keeps the identification (`MIDR_EL1`) and the features that its guest saw on the first one, and its budget was measured on one of them: CPUs of another type have other errata, other features and another speed. `mixed_cpus = true` in the pool allows it.";
    TOLD_WITHOUT_RIGHT = "BH0236", "told without the right to know",
        "A partition's `notify` names who is told of its failures. Those partitions must have it in `may_control` or `may_watch`: what a partition learns of another one stands where its rights stand, too.";
    NEVER_HAPPENS = "BH0237", "answer to what never happens",
        "`on` has an answer to a failure that nobody looks for: `watchdog` needs the field of that name beside `on`, `interrupt_storm` needs `interrupt_limit`, and a budget can only be missed in a pool whose policy promises time, rtds or cyclic.";
    PAGE_WITHOUT_RIGHT = "BH0238", "page of calls without a right",
        "`control_page` gives a partition's programs a page by which they make Bulkhead's own calls. Without `may_control`, `may_watch`, `may_read_console` and `watchdog` each of them would be refused or mean nothing.";
    NO_TEXT_TO_READ = "BH0239", "nothing to read on a console",
        "Bulkhead has the text of partitions with `console = \"virtual\"`. One without a console writes nothing, one that owns a UART writes to that alone, and a partition knows itself what it has written.";
    BAD_CPU_POLICY = "BH0240", "bad CPU policy",
        "A partition's `cpu_policy` is `full`, `baseline` or the name of a `[cpu_policies.<name>]` table of the same file, which has none of these two names. The policies are about CPUID and the extended state of x86: on Arm there are none.";

    UNKNOWN_BOARD = "BH0301", "unknown board",
        "A board is a folder of `platforms/boards` with a `board.toml`. The nearest known name is offered.";
    BOARD_UNAVAILABLE = "BH0302", "board files cannot be had",
        "The board is known, but its device tree could not be read or dumped. The note says why.";
    BAD_DEVICE_TREE = "BH0303", "malformed device tree",
        "The board's device tree breaks the Devicetree Specification's flattened format (chapter 5), or a property has the wrong length.";
    TREE_LACKS_FACT = "BH0304", "device tree lacks something the hypervisor needs",
        "The hypervisor takes every address and interrupt from the board's device tree: memory, CPUs, PSCI, a GICv2 with virtualization extensions or a GICv3, its maintenance interrupt, and the architectural timer.";
    NO_CONSOLE = "BH0305", "no console",
        "The hypervisor's console is the serial port that `[hypervisor] console` of the system file names, or else `console` in board.toml, or else `/chosen/stdout-path` of the device tree.";
    BAD_LOAD = "BH0306", "load address does not suit",
        "The image is entered as an arm64 Image: its load address is a multiple of 2 MiB and lies in the board's memory.";
    BAD_OVERLAY = "BH0307", "overlay does not fit the board's device tree",
        "An overlay is a tree of fragments. Each names the node that it changes by a label or a path, and those must be in the tree. Trees and overlays that use labels are compiled with `dtc -@`, which keeps them.";
    BAD_TABLES = "BH0308", "dump of ACPI tables that cannot be used",
        "`tables` in `[pc]` of a PC's board.toml names what `x86-port/boards/dump.sh` printed on the PC. Each table is as long as it says, its bytes add up to 0 (ACPI 6.5, 5.2.6), and the structures in it lie within one another. A line that was lost or changed on the way is told where it is.";

    UNALIGNED_MEMORY = "BH0401", "memory is no multiple of 4 KiB",
        "4 KiB is the smallest granule of isolation; a partition's memory is a whole number of them.";
    NOT_PLACEABLE = "BH0402", "memory does not fit the board",
        "The partitions' memory is placed in the board's RAM beside the hypervisor's image and the regions that firmware reserves. Each partition's memory is one piece that starts at a multiple of 2 MiB. The largest free holes are shown.";
    ADDRESS_SPACE = "BH0403", "address beyond 48 bits",
        "Stage-2 translation covers at most 48 bits of intermediate physical address.";
    MEMORY_COVERS_DEVICE = "BH0404", "memory would cover registers",
        "A partition's memory starts at the board's RAM base, as on the bare board. With this size it would reach the registers that the partition also sees.";
    MEMORY_OF_HYPERVISOR = "BH0405", "memory overlaps the hypervisor",
        "Memory at a fixed `address` would lie in the RAM that is kept for the hypervisor's image, its tables and the guests' images. Without `address` the compiler finds a place.";
    MEMORY_RESERVED = "BH0406", "memory overlaps what firmware keeps",
        "Firmware uses the regions under `/reserved-memory` and the `/memreserve/` entries of the board's device tree after boot; the hypervisor's image may lie above others. A partition's memory at a fixed `address` must not overlap them.";
    MEMORY_COLLIDES = "BH0407", "memory has two owners",
        "Each byte of RAM belongs to one partition or channel. Memory that partitions share is a `[[channel]]`.";
    IMAGE_RESERVED = "BH0408", "the hypervisor's image overlaps what firmware keeps",
        "The image is loaded where board.toml says, with the guests' images behind it. The device tree reserves memory there.";
    OUTSIDE_RAM = "BH0409", "memory is not in RAM",
        "Memory at a fixed `address`, and an image in a file of its own, must lie in one piece of the RAM that the board's device tree lists.";
    BAD_ALIGNMENT = "BH0410", "alignment makes no sense",
        "`align` is what the physical address of a region is a multiple of: a power of two of at least 4KiB. A fixed `address` must agree with it.";
    IDENTITY_WITH_AT = "BH0411", "`identity` and `at` together",
        "With `identity = true` a partition sees the memory where it lies, so there is nothing left to choose for `at`.";
    REGIONS_OVERLAP = "BH0412", "a partition would see two regions at one place",
        "The regions of a partition's memory must not overlap in its own address space. Without `at`, a region follows the one before it.";
    CHANNEL_COVERS = "BH0413", "channel in the way",
        "A partition would see a channel where it sees memory, registers or another channel. Without `at`, the compiler finds a place behind its memory.";
    NO_SUCH_SPI = "BH0414", "no such interrupt",
        "A virtual distributor has the SPIs 0 to 959. The number is counted as in device trees: INTID minus 32.";
    NO_MEMORY = "BH0415", "partition without memory",
        "A partition's first region holds its image and its device tree; without memory nothing can run.";
    NO_SPI_LEFT = "BH0416", "no interrupt left",
        "Each doorbell, the interrupt by which a partition is told of failures, and each extended SPI of a device is inside its partition an SPI of the virtual distributor that nothing else there raises. All of them are taken.";

    IMAGE_UNAVAILABLE = "BH0501", "image cannot be had",
        "The file is missing or unreadable, or the package or guest that should yield it could not be had. Paths are relative to the system file.";
    UNKNOWN_IMAGE = "BH0502", "image not recognised",
        "A guest is an arm64 Linux Image (uncompressed, with its 64-byte header), a 64-bit Arm ELF, or any other file together with an entry address.";
    IMAGE_DOES_NOT_FIT = "BH0503", "image does not fit the memory",
        "The image with the space that it claims for itself is larger than the partition's memory.";
    LAYOUT_DOES_NOT_FIT = "BH0504", "kernel, initrd and device tree do not fit the memory",
        "A partition's memory holds the image, then the initrd, then up to 64 KiB of device tree at a multiple of 2 MiB.";
    WRONG_MACHINE = "BH0505", "ELF for another machine",
        "Only little-endian 64-bit Arm executables (EM_AARCH64) can run.";
    SEGMENT_OUTSIDE = "BH0506", "segment outside the memory",
        "Each loadable segment's physical address (p_paddr) must lie in the partition's memory, which starts at the board's RAM base, or at the `load` address of a raw image.";
    ENTRY_OUTSIDE = "BH0507", "entry outside the image",
        "The entry address must lie in what is loaded.";
    BROKEN_IMAGE = "BH0508", "broken image",
        "The file begins like an image of a known format but breaks its rules, or is empty or cut off.";
    KERNEL_FORMAT = "BH0509", "kernel of the wrong format",
        "`kernel = …` takes an uncompressed arm64 Linux Image, on a PC a `bzImage`. An ELF file is given as `image = \"path\"`.";
    ENTRY_FOR_WHOLE_IMAGE = "BH0510", "entry or load address for a file that has its own",
        "An ELF file and an arm64 Image say themselves where they go and where they start; `entry` and `load` are for raw files. Taken as raw bytes, the file's header would be run as code.";

    UNKNOWN_DEVICE = "BH0601", "unknown device",
        "A device is named by its label, its alias, or its full path in the board's device tree.";
    DEVICE_OWNED_TWICE = "BH0602", "device owned twice",
        "A device belongs to one partition.";
    INTERRUPT_OWNED_TWICE = "BH0603", "interrupt owned twice",
        "An interrupt is delivered to one owner. Devices that share an interrupt line go to the same partition.";
    PAGE_SHARED = "BH0604", "device page shared",
        "Protection works in pages of 4 KiB. Two devices with registers in one page cannot have different owners.";
    HYPERVISOR_DEVICE = "BH0605", "device belongs to the hypervisor",
        "The interrupt controller, the hypervisor's console and the memory are never given away.";
    DMA_UNPROTECTED = "BH0606", "DMA without protection",
        "A device that can write memory by itself could write every partition's. It is given away only when the partition says `dma = \"trusted\"`, and the report shows that in red.";
    CONSOLE_CONFLICT = "BH0607", "console cannot be virtual and passed through",
        "A virtual console is printed on the board's UART by the hypervisor. When a partition owns that UART itself, nobody else can have a virtual console.";
    UNUSABLE_DEVICE = "BH0608", "device cannot be passed through",
        "A device that is passed through has registers in the CPU's address space and interrupts that are SPIs of the board's GIC.";
    NEEDS_PROVIDER = "BH0609", "device needs another node",
        "The device, or a node that comes along with it, names other nodes: clocks, resets, power domains, pins, PHYs, efuses, GPIOs, DMA channels, regulators. Each must come from somewhere, or the device's driver waits for it forever. It can be given to the same partition; be listed with `access = \"read-only\"`; be a fixed clock, which is copied; be replaced by fixed clocks (`clocks = [\"100MHz\"]`, one for each entry); or the property is left out (`without = [\"resets\"]`), and what it names stays as firmware left it. `without` takes the name of a property, `pinctrl` for all pin states, a subnode, or `subnode/property`.";
    GUEST_TREE_TOO_LARGE = "BH0610", "guest device tree too large",
        "64 KiB of a partition's memory are kept for its device tree.";
    BAD_HANDOVER = "BH0611", "device cannot be given away so",
        "`without` names properties that the device has and that name other nodes, or its subnodes; `clocks` has one frequency for each entry of the device's `clocks`. Anything else would silently do nothing.";
    NEEDS_FIRMWARE = "BH0612", "device needs the firmware",
        "A clock, reset or power domain of the device is reached only by calling the firmware (SMC), which the partition may not. With `firmware_calls = \"mediated\"` only calls that concern what the partition owns reach the firmware. With `firmware_calls = true` every call does: the partition could then switch off what others use, and the report says so.";
    GUEST_TREE_UNSOUND = "BH0613", "guest device tree names what the partition does not own",
        "Every guest device tree is read again when it is finished. It may hold no memory, CPU, register or interrupt that the partition does not own, no IOMMU, no phandle, alias or path that leads nowhere. Without an overlay such a finding means that the board's device tree says something that was not understood.";
    OVERLAY_UNAVAILABLE = "BH0614", "overlay cannot be had",
        "`overlay` and `overlays` name device-tree overlays: `.dtso`, which `dtc` compiles, or `.dtbo`. A path is relative to the system file.";
    OVERLAY_UNFIT = "BH0615", "overlay does not fit the guest device tree",
        "A partition's overlay is put on the device tree that was made for it, which has only what the partition owns, at the paths of the board's tree and under the board's labels. A fragment names a node there.";
    OVERLAY_UNSOUND = "BH0616", "overlay names what the partition does not own",
        "With its overlay a guest device tree is proved like any other: an overlay describes what the partition has, and gives it nothing. It can add no memory, no CPU, no registers or interrupts but the partition's own, and no phandle that leads nowhere.";
    STREAM_OWNED_TWICE = "BH0617", "DMA stream owned twice",
        "An IOMMU tells devices apart by the number of their stream, and gives each stream the memory of one owner. Two devices with one stream reach the same memory, so both go to one partition. A stream match register can stand for several numbers: one in common is enough.";
    IOMMU_FULL = "BH0618", "IOMMU cannot hold it all",
        "An SMMUv2 compares streams with its stream match registers and translates by its contexts, one for each partition behind it; `[[iommu]]` of board.toml says how many it has, and how many bits a stream number has. No IOMMU has more than 4096 entries.";
    DMA_MISSES = "BH0619", "DMA misses the partition's memory",
        "A device behind no IOMMU uses addresses as its driver gives them: physical ones. Where the partition sees its memory at other addresses than it has, the device would read and write somebody else's. With `identity = true` both are the same. A program that is linked for one address needs a fixed `address`, too.";
    GIC_TOO_NEW = "BH0620", "interrupt controller that the board cannot show",
        "The partition asks for a newer interrupt controller than the board has. An older one can be shown: a GICv2 on a board with a GICv3.";
    MESSAGES = "BH0621", "messages of devices cannot be delivered",
        "Devices that signal by message reach an interrupt translation service, which tells them apart by number, or a v2m frame, which does not. A partition with a GICv2 has no such service; two devices that it cannot tell apart go to one partition; and eight partitions can have one. `without = [\"msi\"]` has the functions of a PCI host bridge use the interrupts of their pins.";
    BRIDGE_FULL = "BH0622", "no room for a PCI function's BARs",
        "Each PCI function that is given by itself gets a window of its host bridge's 32-bit memory, and with `high_window` one of its 64-bit memory: powers of two that are aligned to their sizes. Windows behind a PCI-to-PCI bridge lie together in such a block, of 1 MiB at least. They do not fit the host bridge's windows together, or one is larger than any of them. Or more devices are given than a bus has.";
    ISOLATION_GROUP = "BH0623", "PCI functions that cannot be kept apart",
        "Functions that may reach one another without passing the IOMMU are an isolation group, and go to one partition: those of one PCI device, which are reset together, too; those behind a bridge to a conventional bus; and those behind ports of PCI Express without access control services (ACS). With `acs = true` a function is its own group as far as bridges go: the boot turns ACS on in each bridge to it, and stops where there is none. Function 0 of a device, by which software finds the others, is given along with them. Bus numbers are set as the system file writes them: each is behind one bridge, and those behind one bridge follow one another. A bridge that is given as a whole comes with all its functions.";

    LIMIT_PSCI = "BH0706", "image grants all PSCI rights",
        "The image of this version grants every partition all of PSCI, which acts on the partition only. It cannot take single rights away.";
    LIMIT_MEDIATION = "BH0707", "image cannot filter firmware calls yet",
        "The image filters calls to the platform management firmware of a Zynq UltraScale+, and pins that a state of `pinctrl` names one by one; other firmware's calls are passed on all together or not at all.";
    LIMIT_LOG = "BH0708", "image has one log level",
        "The image of this version prints what the level `info` prints, and keeps no trace buffer.";
    LIMIT_IOMMU = "BH0709", "image cannot drive this IOMMU yet",
        "The streams of the device are known and confined on paper, but the image of this version does not program its IOMMU. It drives SMMUv3 \
         with both pages of registers, for stream numbers of up to 20 bits; SMMUv2, MMU-500 among them; and the IPMMUs of R-Car Gen3 and Gen4 as `docs/ipmmu.md` says.";
    LIMIT_CONSOLE = "BH0710", "image cannot drive the console yet",
        "The serial port that `/chosen/stdout-path` or `[hypervisor] console` names is known, but the image of this version has a driver for the PL011 only.";
    LIMIT_PC = "BH0711", "image for PCs cannot do it yet",
        "A system for a PC has partitions with virtual CPUs on physical CPUs of their own, memory, a virtual console, PCI functions and channels. What else a system file can say is for Arm boards alone in this version, as docs/x86.md says.";
    INCONSISTENT = "BH0799", "the compiler contradicts itself",
        "Every rule passed and yet the system cannot be put together. This is a fault of the compiler; please report it with the system file.";
}

/// What a code means, at length. `None` for an unknown code.
pub fn explain(code: &str) -> Option<&'static str> {
    let known = |(name, _, _): &&(&str, &str, &str)| name.eq_ignore_ascii_case(code);
    ALL.iter().find(known).map(|(_, _, text)| *text)
}

/// All codes with their titles, in order.
pub fn codes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().map(|(code, title, _)| (*code, *title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        let all: Vec<&str> = codes().map(|(code, _)| code).collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(all, sorted);
    }

    #[test]
    fn known_code_is_explained_in_any_case_and_unknown_is_not() {
        assert!(explain("bh0103").is_some_and(|text| text.contains("default")));
        assert_eq!(explain("BH9999"), None);
    }
}
