//! IOMMUs of real boards: a system is built into an image from the board's own device tree, and the drivers start with that image's very table
//! against the register models. No such board was there to boot.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use regex::Regex;

use crate::bench::Bench;
use crate::registry::{Need, Test};

/// Boards with a system `configs/<board>/linux-rt.toml` that gives devices behind IOMMUs away: an MMU-500, and IPMMUs that share the CPU's tables and that
/// have their own.
const BOARDS: [&str; 3] = [ZCU102, "rcar-h3", "rcar-e3"];
pub(crate) const SYSTEM: &str = "linux-rt.toml";
pub(crate) const ZCU102: &str = "xlnx-zcu102";
/// What is true of a board and not in its tree, where a board needs that.
pub(crate) const OVERLAY: &str = "board.dtso";
/// The kernel of these systems.
const KERNEL: &str = "linux-image-arm64";
/// The package whose tests have the register models.
const MODELS: &str = "smmu";

pub fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> = BOARDS
        .map(|board| {
            let body = move |bench: &Bench<'_>| {
                drivers_start(bench, board, &configs(bench, board).join(SYSTEM))
            };
            test(board, body).needs(Need::Kernel(KERNEL))
        })
        .into();
    tests.push(test(THUNDERX, smmu_of_a_thunderx_starts));
    tests
}

pub(crate) fn configs(bench: &Bench<'_>, board: &str) -> PathBuf {
    bench.root().join("configs").join(board)
}

pub(crate) fn board_file(bench: &Bench<'_>, board: &str, name: &str) -> anyhow::Result<String> {
    let path = configs(bench, board).join(name);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn test(
    board: &'static str,
    body: impl Fn(&Bench<'_>) -> anyhow::Result<()> + Send + Sync + 'static,
) -> Test {
    Test::new(format!("boards/iommus/{board}"), &["dma", "boards"], body)
        .needs(Need::Board(board))
        .limit(400)
}

/// Builds the system, and runs the drivers with its table.
fn drivers_start(bench: &Bench<'_>, board: &str, system: &Path) -> anyhow::Result<()> {
    let output = bench.xtask(&["--offline", "build", &system.to_string_lossy()])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let name = system.file_stem().context("the system has no name")?;
    let table = bench.output().join("staging").join(board).join(name);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--offline", "-p", MODELS, "--features", "system"])
        .args(["system_tests", "--", "--nocapture"])
        .env("BULKHEAD_SYSTEM", table.join("table.rs"))
        .current_dir(bench.root())
        .output()
        .context("cannot run the models")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let streams = Regex::new(r"\d+ IOMMUs, (\d+) owned streams")?;
    let owned = streams.captures(&text).map(|found| found[1].to_owned());
    ensure!(
        output.status.success() && owned.as_deref().is_some_and(|owned| owned != "0"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

pub(crate) const THUNDERX: &str = "thunderx-88xx";
/// What firmware adds to the tree of a ThunderX: an SMMU, where Cavium's published trees of the same SoC family have it, and a generic host
/// bridge behind it.
pub(crate) const ADDED: &str = r#"
/dts-v1/;
/plugin/;

&{/soc} {
	#address-cells = <2>;
	#size-cells = <2>;

	interrupt-controller@801000000000 {
		its: msi-controller@801000020000 {
		};
	};

	smmu: iommu@830000000000 {
		compatible = "cavium,smmu-v2";
		reg = <0x8300 0x0 0x0 0x2000000>;
		#global-interrupts = <1>;
		#iommu-cells = <1>;
		dma-coherent;
		interrupts = <0 68 4>, <0 69 4>, <0 69 4>, <0 69 4>;
	};

	pci@880000000000 {
		compatible = "pci-host-ecam-generic";
		device_type = "pci";
		#address-cells = <3>;
		#size-cells = <2>;
		bus-range = <0 31>;
		reg = <0x8800 0x0 0x0 0x2000000>;
		ranges = <0x02000000 0x0 0x10000000 0x8810 0x10000000 0x0 0x40000000>;
		iommu-map = <0 &smmu 0 0x10000>;
		msi-map = <0 &its 0 0x10000>;
		dma-coherent;
	};
};
"#;

fn smmu_of_a_thunderx_starts(bench: &Bench<'_>) -> anyhow::Result<()> {
    bench.file("added.dtso", ADDED)?;
    bench.file(OVERLAY, &board_file(bench, THUNDERX, OVERLAY)?)?;
    let system = r#"
[system]
name = "bridge"
board = "thunderx-88xx"
overlays = ["board.dtso", "added.dtso"]

[pools.one]
policy = "dedicated"
cpus = [0]

[[partition]]
name = "one"
pool = "one"
memory = { size = "16MiB", at = "0x40000000" }
image = "guest:rt"
console = "virtual"
devices = [{ device = "/soc/pci@880000000000", without = ["msi"] }]
"#;
    let system = bench.file("bridge.toml", system)?;
    drivers_start(bench, THUNDERX, &system)
}
