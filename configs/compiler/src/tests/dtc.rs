//! What the device-tree compiler thinks of guest trees: it warns of nothing there that it does not warn of in the board's tree.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::compile_text;
use crate::testing::{Gic, lab, virt};

/// What `dtc` warns of: the check and the node. `None` when there is no `dtc`.
fn complaints(tree: &[u8]) -> Option<BTreeSet<(String, String)>> {
    let mut dtc = Command::new("dtc")
        .args(["-I", "dtb", "-O", "dtb", "-o", "/dev/null", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    dtc.stdin.take().unwrap().write_all(tree).unwrap();
    let output = dtc.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "dtc cannot read it: {text}");
    let complaint = |line: &str| {
        let (_, rest) = line.split_once("Warning (")?;
        let (check, rest) = rest.split_once("): ")?;
        let node = rest.split(": ").next().unwrap_or(rest);
        let node = node.rsplit_once(':').map_or(node, |(node, _)| node);
        Some((check.to_owned(), node.to_owned()))
    };
    Some(text.lines().filter_map(complaint).collect())
}

/// `None` when there is no `dtc`, which is told past the test harness's capture.
fn new_complaints(board: &[u8], system: &str) -> Option<Vec<(String, String)>> {
    let Some(known) = complaints(board) else {
        let told = "SKIPPED: dtc is not installed (Debian: device-tree-compiler), so nothing is compared\n";
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return None;
    };
    let compiled = compile_text(system).unwrap_or_else(|findings| panic!("{findings}"));
    let trees = compiled.proof.guest_trees.iter();
    let all = trees.flat_map(|(_, tree)| complaints(tree).unwrap());
    Some(all.filter(|one| !known.contains(one)).collect())
}

#[test]
fn dtc_warns_of_nothing_new_in_the_demos() {
    for (name, gic) in [("gicv2", Gic::V2), ("gicv3", Gic::V3)] {
        let system =
            include_str!("golden/demo.toml").replace("BOARD", &format!("qemu-virt-{name}"));
        let new = new_complaints(&virt(gic).write(), &system);
        assert_eq!(new.unwrap_or_default(), [], "{name}");
    }
}

#[test]
fn dtc_warns_of_nothing_new_in_trees_with_devices_fuses_buses_firmware_and_fixed_clocks() {
    let system = "[system]\nname = \"t\"\nboard = \"lab\"\n[pools.p]\ncpus = [0]\npolicy = \"dedicated\"\n\
        [[partition]]\nname = \"a\"\npool = \"p\"\nmemory = \"64MiB\"\nimage = \"program.elf\"\nconsole = \"virtual\"\n\
        firmware_calls = true\ndma = \"trusted\"\n\
        devices = [\"/timer@91d0000\", \"/efuse@91c0000\", \"/timer@91e0000\", \"/wrapper\", \"/timer@9180000\", \"/pl031@9010000\",\n\
        { device = \"/timer@9140000\", clocks = [\"1MHz\"] }, { device = \"/timer@9150000\", without = [\"power-domains\"] }]\n";
    let new = new_complaints(&lab().write(), system);
    assert_eq!(new.unwrap_or_default(), []);
}
