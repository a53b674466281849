//! The shapes of the real boards' systems on QEMU's `virt`: the same pools, policies, partitions, virtual CPUs, memory and channels, without the devices.
//! Each is made from `configs/<board>/linux-rt.toml` when its test runs. Boards whose systems come to the same share a boot.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use toml::{Table, Value};

use crate::bench::Bench;
use crate::iommus;
use crate::linux::{CLOUD, wait_for_shell};
use crate::registry::{Need, Test};

/// Boards whose systems have one shape.
const SHAPES: [&[&str]; 9] = [
    &["rcar-h3"],
    &["rcar-m3w", "rzg2m-hihope"],
    &["rcar-m3n"],
    &["rcar-e3"],
    &["rcar-d3"],
    &["rcar-v3h", "xlnx-zcu102"],
    &["rcar-s4"],
    &["rcar-v4h", "thunderx2"],
    &["thunderx-88xx"],
];

/// CPUs of the machine, as its board has them.
const CPUS: usize = 8;
/// What only a board's own devices need.
const DROPPED: [&str; 3] = ["devices", "dma", "firmware_calls"];
/// What else a partition may say. Another field stops the test: somebody must decide what becomes of it.
const KEPT: [&str; 11] = [
    "name",
    "pool",
    "vcpus",
    "memory",
    "image",
    "console",
    "on_fault",
    "period",
    "budget",
    "priority",
    "extra_time",
];

pub fn tests() -> Vec<Test> {
    let shape = |boards: &'static [&'static str]| {
        let name = format!("shapes/{}", boards.join("-and-"));
        let body = move |bench: &Bench<'_>| every_guest_says_its_word(bench, boards);
        let test = Test::new(name, &["boards", "linux"], body).needs(Need::Kernel(CLOUD));
        let needs = boards.iter().map(|board| Need::Board(board));
        needs.fold(test, Test::needs)
    };
    SHAPES.map(shape).into()
}

fn every_guest_says_its_word(bench: &Bench<'_>, boards: &[&str]) -> anyhow::Result<()> {
    let of_board = |board: &&str| {
        let text = iommus::board_file(bench, board, iommus::SYSTEM)?;
        let tree = bench.board_tree(board)?;
        shape(&text, machine(&tree)).with_context(|| format!("the system of {board}"))
    };
    let shapes: anyhow::Result<Vec<Table>> = boards.iter().map(of_board).collect();
    let shapes = shapes?;
    let first = shapes.first().context("no board")?;
    for (other, board) in shapes.iter().zip(boards) {
        ensure!(other == first, "{board} has a shape of its own: {other}");
    }
    let system = bench.file("shape.toml", &toml::to_string(first)?)?;
    let mut session = bench.start_file(&system)?;
    for partition in partitions(first)? {
        let name = word(partition, "name")?;
        match partition.get("image") {
            Some(Value::Table(_)) => wait_for_shell(&mut session, name, vcpus(partition)?, bench)?,
            _ => session
                .wait_for(name, "over 2000 periods", bench.left())
                .map(drop)?,
        }
    }
    Ok(())
}

/// The machine with the interrupt controller of a board.
fn machine(tree: &[u8]) -> &'static str {
    const V3: &[u8] = b"arm,gic-v3\0";
    match tree.windows(V3.len()).any(|bytes| bytes == V3) {
        true => "qemu-virt-gicv3",
        false => "qemu-virt-gicv2",
    }
}

/// A system for `machine` with the shape of the one in `text`: its pools are packed onto the first CPUs, every guest has a virtual console, and every Linux is
/// the smallest kernel.
fn shape(text: &str, machine: &str) -> anyhow::Result<Table> {
    let mut all: Table = text.parse()?;
    let system = [("name", "shape"), ("board", machine)];
    all.insert("system".to_owned(), table(system));
    let pools = all.get_mut("pools").and_then(Value::as_table_mut);
    let sizes = packed(pools.context("no pools")?)?;
    let given = all.get_mut("partition").and_then(Value::as_array_mut);
    for partition in given.into_iter().flatten() {
        let partition = partition.as_table_mut().context("no partition")?;
        for field in DROPPED {
            partition.remove(field);
        }
        let odd = partition.keys().find(|key| !KEPT.contains(&key.as_str()));
        ensure!(odd.is_none(), "nobody says what becomes of {odd:?}");
        if let Some(Value::Table(memory)) = partition.get_mut("memory") {
            // For devices that nothing confines.
            memory.remove("identity");
        }
        partition.insert("console".to_owned(), "virtual".into());
        if let Some(image @ Value::Table(_)) = partition.get_mut("image") {
            let kernel = format!("debian:{CLOUD}");
            *image = table([
                ("kernel", kernel.as_str()),
                ("initrd", "busybox"),
                ("cmdline", "console=ttyAMA0"),
            ]);
        }
        let size = sizes
            .get(word(partition, "pool")?)
            .context("no such pool")?;
        let vcpus = i64::from(vcpus(partition)?).min(*size);
        partition.insert("vcpus".to_owned(), vcpus.into());
    }
    Ok(all)
}

/// Packs the pools onto the first CPUs of the machine, the largest one cut to what is there; the CPUs that each has then.
fn packed(pools: &mut Table) -> anyhow::Result<HashMap<String, i64>> {
    let mut sizes = Vec::new();
    for (name, pool) in pools.iter() {
        let cpus = pool.get("cpus").and_then(Value::as_array);
        sizes.push((name.clone(), cpus.context("a pool without CPUs")?.len()));
    }
    let excess = sizes
        .iter()
        .map(|(_, size)| size)
        .sum::<usize>()
        .saturating_sub(CPUS);
    if let Some((_, largest)) = sizes.iter_mut().max_by_key(|(_, size)| *size) {
        ensure!(*largest > excess, "too many CPUs");
        *largest -= excess;
    }
    let mut next = 0;
    for (name, size) in &sizes {
        let cpus: Vec<i64> = (next..).take(*size).collect();
        next += *size as i64;
        let pool = pools.get_mut(name).and_then(Value::as_table_mut);
        pool.context("no pool")?
            .insert("cpus".to_owned(), cpus.into());
    }
    Ok(sizes
        .into_iter()
        .map(|(name, size)| (name, size as i64))
        .collect())
}

fn table<const N: usize>(fields: [(&str, &str); N]) -> Value {
    let fields = fields.map(|(key, value)| (key.to_owned(), Value::from(value)));
    Value::Table(Table::from_iter(fields))
}

fn partitions(system: &Table) -> anyhow::Result<Vec<&Table>> {
    let all = system.get("partition").and_then(Value::as_array);
    let all = all.context("no partitions")?.iter();
    all.map(|one| one.as_table().context("no partition"))
        .collect()
}

fn word<'a>(table: &'a Table, field: &str) -> anyhow::Result<&'a str> {
    let found = table.get(field).and_then(Value::as_str);
    found.with_context(|| format!("no `{field}`"))
}

fn vcpus(partition: &Table) -> anyhow::Result<u32> {
    match partition.get("vcpus") {
        None => Ok(1),
        Some(count) => {
            let count = count.as_integer().and_then(|count| count.try_into().ok());
            count.context("`vcpus` is no number")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = r#"
[system]
name = "s"
board = "b"
overlays = ["o.dtso"]
[pools.large]
policy = "dedicated"
cpus = [0, 1, 2, 3, 4, 5, 6, 7]
[pools.small]
policy = "rtds"
cpus = [32]
[[partition]]
name = "linux"
pool = "large"
vcpus = 8
memory = { size = "1GiB", identity = true }
dma = "trusted"
image = { kernel = "debian:k" }
devices = ["d"]
[[partition]]
name = "rt"
pool = "small"
period = "1ms"
memory = { size = "16MiB", at = "0x40000000" }
image = "guest:rt"
"#;

    #[test]
    fn shape_keeps_what_is_of_the_system_and_drops_what_is_of_the_board() {
        let shape = shape(SYSTEM, "m").unwrap();
        let expected: Table = format!(
            r#"
[system]
name = "shape"
board = "m"
[pools.large]
policy = "dedicated"
cpus = [0, 1, 2, 3, 4, 5, 6]
[pools.small]
policy = "rtds"
cpus = [7]
[[partition]]
name = "linux"
pool = "large"
vcpus = 7
memory = {{ size = "1GiB" }}
console = "virtual"
image = {{ kernel = "debian:{CLOUD}", initrd = "busybox", cmdline = "console=ttyAMA0" }}
[[partition]]
name = "rt"
pool = "small"
vcpus = 1
period = "1ms"
console = "virtual"
memory = {{ size = "16MiB", at = "0x40000000" }}
image = "guest:rt"
"#
        )
        .parse()
        .unwrap();
        assert_eq!(shape, expected);
    }

    #[test]
    fn field_that_nobody_thought_of_is_an_error() {
        let text = SYSTEM.replace("period", "affinity");
        let error = shape(&text, "m").unwrap_err().to_string();
        assert!(error.contains("affinity"), "{error}");
    }

    #[test]
    fn every_board_that_is_proved_has_a_shape_and_one_only() {
        let mut all: Vec<&str> = SHAPES.iter().copied().flatten().copied().collect();
        all.sort_unstable();
        let real = crate::boards::BOARDS
            .iter()
            .filter(|board| !board.starts_with("qemu"));
        assert_eq!(all, real.copied().collect::<Vec<_>>());
    }
}
