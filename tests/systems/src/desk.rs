//! Boards that are not at hand, at a desk: each board's system is built into its image from the board's own device tree, and the image's very
//! instructions run on a model that the same tree makes, up to the first instruction of every guest.

use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use board_model::board::Board;
use board_model::isolation::{self, Own};
use board_model::machine::{Booted, Machine};

use crate::bench::Bench;
use crate::iommus::{self, THUNDERX, ZCU102};
use crate::registry::{Need, Test};

/// A board with a system `configs/<board>/linux-rt.toml`.
#[derive(Clone, Copy)]
struct Desk {
    board: &'static str,
    /// Partitions that begin before any interrupt comes: on one CPU for all, the second waits for its turn.
    begin: usize,
    /// CPUs that the system starts.
    cpus: usize,
    /// Streams that reach a partition which begins.
    streams: usize,
}

const DESKS: [Desk; 12] = [
    desk("rcar-h3", 2, 5, 2),
    // Their IPMMU does not work, and DMA passes by it.
    desk("rcar-m3w", 2, 3, 0),
    desk("rzg2m-hihope", 2, 3, 0),
    desk("rcar-m3n", 2, 2, 2),
    desk("rcar-e3", 2, 2, 2),
    // Its one CPU is the real-time guest's first, and Linux has the devices.
    desk("rcar-d3", 1, 1, 0),
    desk("rcar-v3h", 2, 4, 2),
    desk("rcar-s4", 2, 7, 1),
    desk("rcar-v4h", 2, 4, 2),
    desk(THUNDERX, 2, 9, 0),
    desk("thunderx2", 2, 4, 0),
    desk(ZCU102, 2, 4, 2),
];

const fn desk(board: &'static str, begin: usize, cpus: usize, streams: usize) -> Desk {
    Desk {
        board,
        begin,
        cpus,
        streams,
    }
}

/// A pool has as many CPUs as a partition may have.
const POOLS: usize = 6;
const POOL: usize = 8;

/// The kernel of all these systems.
const KERNEL: &str = "linux-image-arm64";
/// An image with Linux takes some 16 million, most of them to copy the kernel.
const MOST_INSTRUCTIONS: u64 = 200_000_000;
/// Where an address must be a multiple of: the image's, and here the device tree's.
const BLOCK: u64 = 2 << 20;

pub fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> = DESKS
        .map(|desk| {
            let body = move |bench: &Bench<'_>| {
                let system = iommus::configs(bench, desk.board).join(iommus::SYSTEM);
                image_starts(bench, &system, desk)
            };
            test(desk.board, desk.board, body).needs(Need::Kernel(KERNEL))
        })
        .into();
    tests.push(test(
        "thunderx-88xx-all",
        THUNDERX,
        every_cpu_of_a_thunderx_starts,
    ));
    tests
}

pub(crate) fn test(
    name: &str,
    board: &'static str,
    body: impl Fn(&Bench<'_>) -> anyhow::Result<()> + Send + Sync + 'static,
) -> Test {
    let name = format!("boards/desk/{name}");
    Test::new(name, &["boards", "boot"], body).needs(Need::Board(board))
}

/// All 48 CPUs in their three clusters, eight for each partition.
fn every_cpu_of_a_thunderx_starts(bench: &Bench<'_>) -> anyhow::Result<()> {
    let overlay = iommus::board_file(bench, THUNDERX, iommus::OVERLAY)?;
    bench.file(iommus::OVERLAY, &overlay)?;
    let mut text = format!(
        "[system]\nname = \"all\"\nboard = \"{THUNDERX}\"\noverlays = [\"{}\"]\n",
        iommus::OVERLAY
    );
    for pool in 0..POOLS {
        let cpus: Vec<_> = (pool * POOL..(pool + 1) * POOL).collect();
        text += &format!(
            r#"
[pools.p{pool}]
policy = "dedicated"
cpus = {cpus:?}

[[partition]]
name = "p{pool}"
pool = "p{pool}"
vcpus = {POOL}
memory = {{ size = "16MiB", at = "0x40000000" }}
image = "guest:hello"
console = "virtual"
"#
        );
    }
    let system = bench.file("all.toml", &text)?;
    let desk = desk(THUNDERX, POOLS, POOLS * POOL, 0);
    image_starts(bench, &system, desk)
}

/// PCI functions behind a host bridge of the board.
pub(crate) struct Plugged {
    pub bridge: &'static str,
    /// Bus, device and function of each, as in a requester ID.
    pub places: &'static [u64],
}

/// A board after the boot of an image.
pub(crate) struct Started {
    pub machine: Machine,
    pub booted: Booted,
    pub own: Own,
}

/// Builds a system, and runs its image on the board of a device tree until every guest is at its first instruction. What contradicts isolation is an
/// error.
pub(crate) fn start(
    bench: &Bench<'_>,
    system: &Path,
    board: &str,
    tree: &[u8],
    functions: Option<Plugged>,
) -> anyhow::Result<Started> {
    let output = bench.xtask(&["--offline", "build", &system.to_string_lossy()])?;
    let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}", complaint());
    let name = system.file_stem().context("the system has no name")?;
    let folder = bench.output().join(board).join(name);
    let image = std::fs::read(folder.join("bulkhead.img")).context("no image")?;
    let load = load(bench, board)?;
    let own = Own {
        base: load,
        size: image.len() as u64,
    };
    let place = (own.base + own.size).next_multiple_of(BLOCK);
    let mut model = Board::new(tree)?;
    if let Some(Plugged { bridge, places }) = functions {
        model.plug(tree, bridge, places)?;
    }
    let mut machine = Machine::new(model, &image, load, (tree, place))?;
    let booted = machine
        .run(MOST_INSTRUCTIONS)
        .map_err(|stopped| anyhow!("{stopped}\n{}", machine.console()))?;
    let said = machine.console();
    println!(
        "        {board}: {} CPUs on, {} guests at their first instruction after {} instructions, {} streams reach them",
        booted.cpus,
        booted.guests.len(),
        booted.instructions,
        isolation::streams(&machine.board, &booted.guests)
    );
    ensure!(
        !said.contains("stop:") && said.contains("[hv] Bulkhead"),
        "{said}"
    );
    for guest in &booted.guests {
        ensure!(
            guest.tree_magic == 0xd00d_feed,
            "no device tree for {guest:?}"
        );
    }
    let found = isolation::contradictions(&machine.board, &booted.guests, own, false);
    ensure!(found.is_empty(), "{found:#?}");
    Ok(Started {
        machine,
        booted,
        own,
    })
}

fn image_starts(bench: &Bench<'_>, system: &Path, desk: Desk) -> anyhow::Result<()> {
    let tree = bench.board_tree(desk.board)?;
    let Started {
        machine, booted, ..
    } = start(bench, system, desk.board, &tree, None)?;
    let streams = isolation::streams(&machine.board, &booted.guests);
    ensure!(
        (booted.guests.len(), booted.cpus, streams) == (desk.begin, desk.cpus, desk.streams),
        "{} guests, {} CPUs, {streams} streams: {}",
        booted.guests.len(),
        booted.cpus,
        machine.console()
    );
    Ok(())
}

/// Where the board's boot loader puts images.
fn load(bench: &Bench<'_>, board: &str) -> anyhow::Result<u64> {
    let path = format!("platforms/boards/{board}/board.toml");
    let text = std::fs::read_to_string(bench.root().join(&path))?;
    let table: toml::Table = toml::from_str(&text)?;
    let text = table.get("load").and_then(|load| load.as_str());
    let digits = text.and_then(|text| text.strip_prefix("0x"));
    let load = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    load.with_context(|| format!("{path} has no address in `load`"))
}
