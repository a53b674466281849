//! Isolation groups: functions that may reach one another without passing the IOMMU go together.

use super::{SMMU, board, compile, compiled, refused};

fn function(path: &str, fields: &str) -> String {
    format!("{{ device = \"/pcie@10000000/{path}\"{fields} }}")
}

#[test]
fn functions_behind_bridges_go_together_unless_access_control_keeps_them_apart() {
    const ACS: &str = ", acs = true";
    for (one, two, fields, apart) in [
        // Two root ports.
        ("00:02.0/01:00.0", "00:03.0/02:00.0", ["", ""], true),
        // Functions of one device that are root ports.
        ("00:02.0/01:00.0", "00:02.1/02:00.0", ["", ""], false),
        ("00:02.0/01:00.0", "00:02.1/02:00.0", [ACS, ACS], true),
        // Devices behind one bridge.
        ("00:02.0/01:00.0", "00:02.0/01:01.0", ["", ""], false),
        ("00:02.0/01:00.0", "00:02.0/01:01.0", [ACS, ""], false),
        ("00:02.0/01:00.0", "00:02.0/01:01.0", [ACS, ACS], true),
        // Functions of one device behind a bridge.
        ("00:02.0/01:00.0", "00:02.0/01:00.1", [ACS, ACS], false),
        // Behind two ports of a switch.
        (
            "00:02.0/01:00.0/02:00.0/03:00.0",
            "00:02.0/01:00.0/02:01.0/04:00.0",
            ["", ""],
            false,
        ),
        (
            "00:02.0/01:00.0/02:00.0/03:00.0",
            "00:02.0/01:00.0/02:01.0/04:00.0",
            [ACS, ACS],
            true,
        ),
        // Beside a root port of the same device.
        ("00:02.1", "00:02.0/01:00.0", ["", ACS], false),
    ] {
        let [one, two] = [function(one, fields[0]), function(two, fields[1])];
        match compile(&board(), [&one, &two]) {
            Ok(_) => assert!(apart, "{one} {two}"),
            Err(findings) => {
                let findings = findings.to_string();
                assert!(
                    !apart && findings.contains("BH0623"),
                    "{one} {two}: {findings}"
                );
            }
        }
    }
}

#[test]
fn group_is_given_to_one_partition() {
    let both = [
        function("00:02.0/01:00.0", ""),
        function("00:02.0/01:01.0", ""),
    ];
    assert!(compile(&board(), [&both.join(", "), ""]).is_ok());
}

#[test]
fn refusal_names_both_functions_their_partitions_and_the_device_above() {
    let findings = refused([
        &function("00:02.0/01:00.0", ""),
        &function("00:02.0/01:01.0", ""),
    ]);
    for says in [
        "/pcie@10000000/00:02.0/01:00.0 of partition `p0`",
        "/pcie@10000000/00:02.0/01:01.0 of partition `p1`",
        "behind the device 00:02",
        "write `acs = true` in each",
    ] {
        assert!(findings.contains(says), "{says}: {findings}");
    }
}

#[test]
fn bridge_on_the_way_is_no_function_of_a_partition() {
    let findings = refused([
        "\"/pcie@10000000/00:02.0\"",
        &function("00:02.0/01:00.0", ", acs = true"),
    ]);
    assert!(findings.contains("one leads to the other"), "{findings}");
}

#[test]
fn buses_that_no_bridges_route_to_are_refused() {
    for (one, two, says) in [
        (
            "00:02.0/01:00.0",
            "00:03.0/01:00.0",
            "bus 01 is behind another bridge",
        ),
        (
            "00:02.0/01:00.0/03:00.0",
            "00:03.0/02:00.0",
            "bus 02 of /pcie@10000000/00:03.0/02:00.0 lies among the buses behind the bridge of bus 01",
        ),
    ] {
        let both = [function(one, ""), function(two, "")].join(", ");
        let findings = refused([&both, ""]);
        assert!(findings.contains(says), "{findings}");
    }
}

#[test]
fn bus_without_configuration_space_is_refused() {
    let mut tree = board();
    let pcie = tree.find("/pcie@10000000").unwrap();
    tree.set_cells(pcie, "reg", &[0x40, 0x1000_0000, 0, 0x20_0000]);
    let device = |bus: &str| function(&format!("00:02.0/{bus}:00.0"), "");
    assert!(compile(&tree, [&device("01"), ""]).is_ok());
    let findings = compile(&tree, [&device("02"), ""]).unwrap_err().to_string();
    assert!(
        findings.contains("no configuration space for the bus of 02:00.0"),
        "{findings}"
    );
    tree.set_cells(pcie, "bus-range", &[0, 0]);
    assert!(compile(&tree, [&device("01"), ""]).is_err());
}

/// First streams that the table gives to partition 0.
fn streams(table: &str) -> Vec<String> {
    let lines = table.lines().filter(|line| line.contains("OwnedStreams"));
    let number = |line: &str| {
        let (_, rest) = line.split_once("StreamId::new(")?;
        Some(rest.split_once(')')?.0.to_owned())
    };
    lines.filter_map(number).collect()
}

#[test]
fn function_that_a_bridge_may_stand_for_has_the_streams_of_both() {
    let one = function("00:02.0/01:03.0", ", without = [\"msi\"]");
    assert_eq!(
        streams(&compiled([&one, ""]).table),
        ["0x10", "0x100", "0x118"]
    );
}

#[test]
fn function_whose_own_number_is_relied_on_has_its_stream_alone() {
    for fields in ["", ", acs = true", ", acs = true, without = [\"msi\"]"] {
        let one = function("00:02.0/01:03.0", fields);
        assert_eq!(streams(&compiled([&one, ""]).table), ["0x118"], "{fields}");
    }
}

#[test]
fn bridge_that_no_iommu_sees_may_stand_for_nothing() {
    let mut tree = board();
    let pcie = tree.find("/pcie@10000000").unwrap();
    tree.set_cells(pcie, "iommu-map", &[0x118, SMMU, 0x118, 1]);
    let known = function("00:02.0/01:03.0", ", acs = true");
    assert!(compile(&tree, [&known, ""]).is_ok());
    let stood_for = function("00:02.0/01:03.0", ", without = [\"msi\"]");
    let findings = compile(&tree, [&stood_for, ""]).unwrap_err().to_string();
    assert!(findings.contains("DMA that nothing confines"), "{findings}");
}
