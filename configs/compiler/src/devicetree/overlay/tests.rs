//! Overlays as `dtc -@` writes them, built in memory; and against what `fdtoverlay` makes of the same inputs, where it is installed.

use std::process::Command;

use super::*;
use crate::testing::unique_path;

/// A base with labels `soc` and `uart`, and an alias.
fn base() -> Tree {
    let mut tree = Tree::new();
    let soc = tree.add(Tree::ROOT, "soc");
    tree.set_cells(soc, "phandle", &[1]);
    let uart = tree.add(soc, "uart@1000");
    tree.set_cells(uart, "phandle", &[2]);
    tree.set_string(uart, "status", "disabled");
    let aliases = tree.add(Tree::ROOT, "aliases");
    tree.set_string(aliases, "serial0", "/soc/uart@1000");
    let symbols = tree.add(Tree::ROOT, SYMBOLS);
    tree.set_string(symbols, "soc", "/soc");
    tree.set_string(symbols, "uart", "/soc/uart@1000");
    tree
}

/// An overlay with one fragment for the label `soc` that adds a clock, and a fragment that lets `uart` use it.
fn overlay() -> Tree {
    let mut tree = Tree::new();
    let first = tree.add(Tree::ROOT, "fragment@0");
    tree.set_cells(first, "target", &[u32::MAX]);
    let content = tree.add(first, FRAGMENT);
    let clock = tree.add(content, "clock");
    tree.set_cells(clock, "phandle", &[1]);
    tree.set_cells(clock, "#clock-cells", &[0]);
    let second = tree.add(Tree::ROOT, "fragment@1");
    tree.set_string(second, "target-path", "serial0");
    let content = tree.add(second, FRAGMENT);
    tree.set_string(content, "status", "okay");
    tree.set_cells(content, "clocks", &[1]);
    let symbols = tree.add(Tree::ROOT, SYMBOLS);
    tree.set_string(symbols, "clk", "/fragment@0/__overlay__/clock");
    let fixups = tree.add(Tree::ROOT, FIXUPS);
    tree.set_string(fixups, "soc", "/fragment@0:target:0");
    let local = tree.add(Tree::ROOT, LOCAL_FIXUPS);
    let fragment = tree.add(local, "fragment@1");
    let content = tree.add(fragment, FRAGMENT);
    tree.set_cells(content, "clocks", &[0]);
    tree
}

fn refused(change: impl FnOnce(&mut Tree, &mut Tree)) -> String {
    let (mut base, mut overlay) = (base(), overlay());
    change(&mut base, &mut overlay);
    let before = base.write();
    let error = base.apply(&overlay).unwrap_err();
    assert_eq!(base.write(), before, "the tree is as it was");
    error.to_string()
}

#[test]
fn fragments_go_to_labels_and_aliases_with_their_phandles_renumbered() {
    let mut tree = base();
    tree.apply(&overlay()).unwrap();
    let clock = tree.find("/soc/clock").unwrap();
    assert_eq!(tree.phandle(clock), Some(3));
    let uart = tree.find("/soc/uart@1000").unwrap();
    assert_eq!(tree.string(uart, "status"), Some("okay"));
    assert_eq!(tree.cells(uart, "clocks").unwrap(), Some(vec![3]));
    assert_eq!(tree.by_phandle(3), Some(clock));
}

#[test]
fn labels_of_the_overlay_are_labels_of_the_tree_for_the_next_one() {
    let mut tree = base();
    tree.apply(&overlay()).unwrap();
    let symbols = tree.find("/__symbols__").unwrap();
    assert_eq!(tree.string(symbols, "clk"), Some("/soc/clock"));
    let mut next = Tree::new();
    let fragment = next.add(Tree::ROOT, "fragment@0");
    next.set_cells(fragment, "target", &[0]);
    let content = next.add(fragment, FRAGMENT);
    next.set_cells(content, "clock-frequency", &[1000]);
    let fixups = next.add(Tree::ROOT, FIXUPS);
    next.set_string(fixups, "clk", "/fragment@0:target:0");
    tree.apply(&next).unwrap();
    let clock = tree.find("/soc/clock").unwrap();
    assert_eq!(tree.cell(clock, "clock-frequency"), Ok(Some(1000)));
}

#[test]
fn unknown_label_and_missing_labels_are_errors() {
    let error = refused(|_, overlay| {
        let fixups = overlay.find("/__fixups__").unwrap();
        overlay.set_string(fixups, "usb", "/fragment@0:target:0");
    });
    assert_eq!(
        error,
        "/__fixups__: `usb` is a label that the tree does not have"
    );
    let mut bare = Tree::new();
    bare.add(Tree::ROOT, "soc");
    let error = bare.apply(&overlay()).unwrap_err().to_string();
    assert!(error.contains("compile it with `dtc -@`"), "{error}");
}

#[test]
fn places_that_do_not_exist_are_errors_with_path_and_property() {
    for (place, what) in [
        ("/fragment@0:target:4", "/fragment@0: `target` is too short"),
        ("/fragment@0:targets:0", "/fragment@0: `targets` is missing"),
        ("/fragment@9:target:0", "no `path:property:offset`"),
        ("/fragment@0:target", "no `path:property:offset`"),
        ("/fragment@0:target:-1", "no `path:property:offset`"),
    ] {
        let error = refused(|_, overlay| {
            let fixups = overlay.find("/__fixups__").unwrap();
            overlay.set_string(fixups, "soc", place);
        });
        assert!(error.contains(what), "{error}");
    }
    let error = refused(|_, overlay| {
        let local = overlay.find("/__local_fixups__").unwrap();
        overlay.add(local, "fragment@7");
    });
    assert!(
        error.contains("node that the overlay does not have"),
        "{error}"
    );
}

#[test]
fn fragment_without_a_target_in_the_tree_is_an_error() {
    let error = refused(|_, overlay| {
        let second = overlay.find("/fragment@1").unwrap();
        overlay.set_string(second, "target-path", "/soc/uart");
    });
    assert_eq!(
        error,
        "/fragment@1: `target-path` is no node of the tree: \"/soc/uart\""
    );
    let mut tree = Tree::new();
    let fragment = tree.add(Tree::ROOT, "fragment@0");
    tree.add(fragment, FRAGMENT);
    let error = base().apply(&tree).unwrap_err().to_string();
    assert!(
        error.starts_with("/fragment@0: `target` is missing"),
        "{error}"
    );
}

#[test]
fn tree_that_is_no_overlay_is_an_error() {
    let error = base().apply(&base()).unwrap_err().to_string();
    assert!(error.contains("no overlay"), "{error}");
}

#[test]
fn second_phandle_of_a_node_is_an_error() {
    let error = refused(|_, overlay| {
        let content = overlay.find("/fragment@1/__overlay__").unwrap();
        overlay.set_cells(content, "phandle", &[2]);
    });
    assert!(
        error.ends_with("`phandle` would be a second one of /soc/uart@1000"),
        "{error}"
    );
}

#[test]
fn overlays_cannot_nest_without_bound() {
    let mut tree = base();
    let mut target = "/soc".to_owned();
    let mut result = Ok(());
    for _ in 0..100 {
        let mut overlay = Tree::new();
        let fragment = overlay.add(Tree::ROOT, "fragment@0");
        overlay.set_string(fragment, "target-path", &target);
        let content = overlay.add(fragment, FRAGMENT);
        overlay.add(content, "deep");
        target.push_str("/deep");
        result = tree.apply(&overlay);
        if result.is_err() {
            break;
        }
    }
    assert!(result.unwrap_err().to_string().contains("64 levels"));
}

/// A tree as text in which order does not matter: each property and node with its path, sorted.
fn listing(tree: &Tree) -> Vec<String> {
    let node = |node| {
        let path = tree.path(node);
        let properties = tree.properties(node).iter();
        let own = properties.map(|one| format!("{path}: {} = {:02x?}", one.name, one.value));
        own.chain([path.clone()]).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = tree.nodes().flat_map(node).collect();
    lines.sort();
    lines
}

#[test]
fn result_is_that_of_fdtoverlay() {
    let path = unique_path("fdtoverlay");
    std::fs::create_dir_all(&path).unwrap();
    let (base_file, overlay_file, result) = (
        path.join("base.dtb"),
        path.join("overlay.dtbo"),
        path.join("result.dtb"),
    );
    std::fs::write(&base_file, base().write()).unwrap();
    std::fs::write(&overlay_file, overlay().write()).unwrap();
    let status = Command::new("fdtoverlay")
        .arg("-i")
        .arg(&base_file)
        .arg("-o")
        .arg(&result)
        .arg(&overlay_file)
        .status();
    let theirs = match status {
        Ok(status) => {
            assert!(status.success());
            Some(std::fs::read(&result).unwrap())
        }
        Err(error) => {
            eprintln!("not compared: fdtoverlay cannot be run: {error}");
            None
        }
    };
    std::fs::remove_dir_all(&path).unwrap();
    let mut ours = base();
    ours.apply(&overlay()).unwrap();
    if let Some(theirs) = theirs {
        assert_eq!(listing(&ours), listing(&Tree::read(&theirs).unwrap()));
    }
}
