//! What U-Boot wants beside the image: a FIT with the image and the board's device tree, whose SHA-256 hashes U-Boot checks before it starts anything,
//! and a boot script with the board's addresses. U-Boot's own `mkimage` makes both.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use compiler::{GuestFile, MapKind, Owner, RangeEntry, Report, Resources, Target};

use crate::build::{Builder, Built, guest_file_name};
use crate::command;
use crate::resources::write_if_changed;
use crate::setup;

/// The FIT.
const FIT: &str = "bulkhead.itb";
/// What the FIT is made from, beside the image and the tree.
const SOURCE: &str = "bulkhead.its";
/// The board's device tree.
const TREE: &str = "board.dtb";
/// The boot script as text, and as U-Boot wants it.
const SCRIPT_TEXT: &str = "boot.cmd";
const SCRIPT: &str = "boot.scr";

/// The FIT begins at a multiple of this, in bytes: so does everything else that U-Boot copies.
const ALIGNMENT: u64 = 2 << 20;

/// Writes the FIT and the boot script of a system that has been built, and says where they are.
///
/// # Errors
/// The board is a PC, `mkimage` cannot be had or fails, or there is no room for the FIT in the board's memory.
pub fn write(builder: &Builder, built: &Built) -> anyhow::Result<[PathBuf; 2]> {
    let report = &built.compiled.proof.report;
    if built.compiled.target == Target::Pc {
        bail!("a PC is started by Multiboot or PVH, not by a FIT");
    }
    setup::u_boot_files(builder.steps(), builder.offline())?;
    let folder = &built.folder;
    let load = builder.board_toml(&report.board)?.load;
    let files = builder.host().board(&report.board)?;
    write_if_changed(&folder.join(TREE), &files.tree)?;
    write_if_changed(&folder.join(SOURCE), source(report, load).as_bytes())?;
    make(folder, &["-f", SOURCE], FIT)?;

    let length = std::fs::metadata(folder.join(FIT))
        .with_context(|| format!("cannot read {FIT}"))?
        .len();
    let image_end = report.image.base.saturating_add(report.image.size);
    let fit = place(&report.memory, taken(report), image_end, length).with_context(|| {
        format!("the board has no {length} bytes of memory in a row for U-Boot to keep {FIT} in")
    })?;
    write_if_changed(
        &folder.join(SCRIPT_TEXT),
        script(report, load, fit, &built.compiled.files).as_bytes(),
    )?;
    let kind = ["-A", "arm64", "-O", "linux", "-T", "script", "-C", "none"];
    make(folder, &[&kind[..], &["-d", SCRIPT_TEXT]].concat(), SCRIPT)?;
    Ok([folder.join(FIT), folder.join(SCRIPT)])
}

fn make(folder: &Path, arguments: &[&str], file: &str) -> anyhow::Result<()> {
    let mut mkimage = Command::new("mkimage");
    mkimage.args(arguments).arg(file).current_dir(folder);
    command::run(&mut mkimage).with_context(|| format!("{file} cannot be made"))
}

/// Memory of the image and of firmware, from first byte to the one behind. Partitions' memory is free for U-Boot: it is filled later.
fn taken(report: &Report) -> Vec<(u64, u64)> {
    report
        .memory_map
        .iter()
        .filter(|entry| entry.kind == MapKind::Ram)
        .filter(|entry| matches!(entry.owner, Owner::Hypervisor | Owner::Firmware))
        .map(|entry| (entry.base, entry.end()))
        .collect()
}

/// The first place for `length` bytes in `banks` that nobody has taken: from `first` upwards, or else from the start.
fn place(banks: &[RangeEntry], mut taken: Vec<(u64, u64)>, first: u64, length: u64) -> Option<u64> {
    taken.sort_unstable();
    let within = |bank: &RangeEntry, start: u64| {
        let end = bank.base.checked_add(bank.size)?;
        let mut at = bank.base.max(start).checked_next_multiple_of(ALIGNMENT)?;
        for &(base, behind) in &taken {
            if base < at.checked_add(length)? && at < behind {
                at = behind.checked_next_multiple_of(ALIGNMENT)?;
            }
        }
        (at.checked_add(length)? <= end).then_some(at)
    };
    let from = |start: u64| banks.iter().find_map(|bank| within(bank, start));
    from(first).or_else(|| from(0))
}

/// The FIT's source (U-Boot `doc/usage/fit/source_file_format.rst`).
fn source(report: &Report, load: u64) -> String {
    let (system, board) = (&report.system, &report.board);
    let (high, low) = (load >> 32, load & 0xffff_ffff);
    format!(
        r#"/dts-v1/;

/ {{
	description = "Bulkhead system {system} for {board}";
	#address-cells = <2>;

	images {{
		bulkhead {{
			description = "Bulkhead with the guests of {system}";
			data = /incbin/("bulkhead.img");
			type = "kernel";
			arch = "arm64";
			os = "linux";
			compression = "none";
			load = <{high:#x} {low:#x}>;
			entry = <{high:#x} {low:#x}>;
			hash-1 {{
				algo = "sha256";
			}};
		}};
		tree {{
			description = "device tree of {board}";
			data = /incbin/("{TREE}");
			type = "flat_dt";
			arch = "arm64";
			compression = "none";
			hash-1 {{
				algo = "sha256";
			}};
		}};
	}};

	configurations {{
		default = "own-tree";
		own-tree {{
			description = "with the device tree that the system was built from";
			kernel = "bulkhead";
			fdt = "tree";
		}};
		firmware-tree {{
			description = "with a device tree that U-Boot names: bootm ADDRESS#firmware-tree - TREE";
			kernel = "bulkhead";
		}};
	}};
}};
"#
    )
}

/// The boot script. U-Boot's `distro_bootcmd` and `bootflow` set `devtype`, `devnum`, `distro_bootpart` and `prefix` before they start it.
fn script(report: &Report, load: u64, fit: u64, files: &[GuestFile]) -> String {
    let (system, board) = (&report.system, &report.board);
    let to = |address: String, file: &str| {
        format!(
            r#"if test -n "${{distro_bootpart}}"; then
	load ${{devtype}} ${{devnum}}:${{distro_bootpart}} {address} ${{prefix}}{file} || exit 1
else
	tftpboot {address} {file} || exit 1
fi
"#
        )
    };
    let own = to("${bulkhead_itb}".to_owned(), FIT);
    let guests = files.iter();
    let guests = guests.map(|file| to(format!("{:#x}", file.address), &guest_file_name(file)));
    let guests: String = guests.collect();
    format!(
        r#"# Starts the Bulkhead system {system} on {board}. Made by cargo xtask build --u-boot: do not edit.
# bulkhead_itb: where the FIT is put. The image goes to {load:#x}, and neither is in the way of the other.
# Set bulkhead_tree to the address of a device tree to take it instead of the one in the FIT.
setenv bulkhead_itb {fit:#x}
setenv verify yes
{guests}{own}if test -n "${{bulkhead_tree}}"; then
	bootm ${{bulkhead_itb}}#firmware-tree - ${{bulkhead_tree}}
else
	bootm ${{bulkhead_itb}}
fi
echo Bulkhead was not started: what U-Boot says above is why.
exit 1
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bank(base: u64, size: u64) -> RangeEntry {
        RangeEntry {
            name: String::new(),
            base,
            size,
        }
    }

    #[test]
    fn fit_lies_behind_the_image_and_beside_what_firmware_keeps() {
        let banks = [bank(64 * MIB, 64 * MIB)];
        let image = (66 * MIB, 70 * MIB);
        let firmware = (71 * MIB, 75 * MIB + 1);
        for (taken, length, at) in [
            (vec![image], MIB, Some(70)),
            (vec![firmware, image], MIB, Some(70)),
            (vec![firmware, image], MIB + 1, Some(76)),
            (vec![firmware, image], 52 * MIB, Some(76)),
            (vec![firmware, image], 52 * MIB + 1, None),
        ] {
            let found = place(&banks, taken, image.1, length);
            assert_eq!(found, at.map(|at| at * MIB), "{length}");
        }
    }

    #[test]
    fn fit_without_room_behind_the_image_lies_before_it_or_in_another_bank() {
        let image = (60 * MIB, 64 * MIB);
        let low = bank(0, 64 * MIB);
        let high = bank(512 * MIB, 64 * MIB);
        let find = |banks: &[RangeEntry]| place(banks, vec![image], image.1, 8 * MIB);
        assert_eq!(find(std::slice::from_ref(&low)), Some(0));
        assert_eq!(find(&[low, high]), Some(512 * MIB));
    }

    #[test]
    fn memory_at_the_end_of_the_address_space_is_no_trouble() {
        let banks = [bank(u64::MAX - 4 * MIB, 4 * MIB)];
        assert_eq!(place(&banks, vec![], u64::MAX, u64::MAX), None);
    }
}
