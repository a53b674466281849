use super::*;
use crate::board::read_board_toml;
use crate::testing::{Gic, virt};

fn request<'a>(tree: &'a [u8]) -> Request<'a> {
    Request {
        tree,
        origin: Path::new("some.dtb"),
        source: kept_tree(),
        name: None,
        load: None,
        console: None,
        memory: &[],
        machine: None,
    }
}

/// `virt` as a board of its own name.
fn board() -> Tree {
    let mut tree = virt(Gic::V3);
    tree.set_string(Tree::ROOT, "compatible", "acme,Rocket_Board");
    tree.set_string(Tree::ROOT, "model", "Acme \"Rocket\"");
    tree
}

fn draft(tree: &Tree) -> NewBoard {
    new_board(&request(&tree.write())).unwrap()
}

fn refusal(tree: &Tree) -> String {
    new_board(&request(&tree.write()))
        .unwrap_err()
        .render(false)
}

/// The drafted board file, read back as `check` reads it.
fn read_back(drafted: &NewBoard) -> BoardToml {
    read_board_toml(&drafted.board_toml, Path::new("board.toml")).unwrap()
}

#[test]
fn drafted_file_reads_back_as_what_was_found() {
    let file = read_back(&draft(&board()));
    assert_eq!(file.name, "rocket-board");
    assert_eq!(file.description, "Acme \"Rocket\"");
    assert_eq!(file.load, 0x4020_0000);
    assert_eq!(file.tree, kept_tree());
    assert_eq!((file.console, file.qemu), (None, None));
}

#[test]
fn image_goes_above_what_is_reserved_at_the_start_of_memory() {
    let mut tree = board();
    tree.reservations
        .push(crate::range::AddressRange::new(0x4000_0000, 0x1234_5000).unwrap());
    assert_eq!(read_back(&draft(&tree)).load, 0x5240_0000);
}

#[test]
fn tree_without_memory_is_refused_with_the_option_that_helps() {
    let mut tree = board();
    let memory = tree.find("/memory").unwrap();
    tree.set_cells(memory, "reg", &[0, 0, 0, 0]);
    let text = refusal(&tree);
    assert!(
        text.contains("BH0304") && text.contains("--memory"),
        "{text}"
    );
    let bytes = tree.write();
    let given = [parse_memory("0x80000000+1GiB").unwrap()];
    let drafted = new_board(&Request {
        memory: &given,
        ..request(&bytes)
    });
    let file = read_back(&drafted.unwrap());
    assert_eq!((file.load, file.memory), (0x8020_0000, given.to_vec()));
}

#[test]
fn everything_that_keeps_the_board_from_running_is_told_at_once() {
    let mut tree = board();
    let psci = tree.find("/psci").unwrap();
    tree.set_string(psci, "method", "hvc");
    let gic = tree.find("/intc").unwrap();
    tree.set_string(gic, "compatible", "brcm,bcm2836-l1-intc");
    let text = refusal(&tree);
    assert!(
        text.contains("PSCI") && text.contains("GICv3 or GICv2"),
        "{text}"
    );
}

#[test]
fn console_without_stdout_path_is_the_first_alias_and_a_guess() {
    let mut tree = board();
    let chosen = tree.find("/chosen").unwrap();
    tree.remove(chosen, "stdout-path");
    let drafted = draft(&tree);
    assert_eq!(read_back(&drafted).console.as_deref(), Some("serial0"));
    assert!(
        drafted
            .open
            .iter()
            .any(|one| one.starts_with("the console: ")),
        "{:?}",
        drafted.open
    );
}

#[test]
fn console_of_an_unknown_kind_gives_way_to_one_that_is_driven_and_says_so() {
    let mut tree = board();
    let uart = tree.find("/pl011").unwrap();
    tree.set_string(uart, "compatible", "qcom,geni-debug-uart");
    assert!(refusal(&tree).contains("BH0305"));
    let other = crate::testing::device(&mut tree, "serial@9100000", "arm,pl011", 0x910_0000, 40);
    let path = tree.path(other);
    let drafted = draft(&tree);
    assert_eq!(read_back(&drafted).console, Some(path));
    assert!(
        drafted.board_toml.contains("for which there is no driver"),
        "{}",
        drafted.board_toml
    );
}

#[test]
fn machine_has_the_cpu_type_of_the_tree_and_the_port_of_the_alias() {
    let mut tree = board();
    let aliases = tree.find("/aliases").unwrap();
    tree.set_string(aliases, "serial0", "/none");
    tree.set_string(aliases, "serial1", "/pl011");
    let bytes = tree.write();
    let drafted = new_board(&Request {
        machine: Some(Emulator {
            machine: "rocket,virtualization=on",
            cpu: None,
            cpus: Some(8),
            memory_bytes: 2 << 30,
            devices: &[],
        }),
        source: TreeSource::Qemu,
        ..request(&bytes)
    });
    let machine = read_back(&drafted.unwrap()).qemu.unwrap();
    assert_eq!((machine.cpu.as_str(), machine.serial), ("cortex-a57", 1));
    assert_eq!((machine.cpus, machine.memory_bytes), (Some(8), 2 << 30));
}

#[test]
fn hostile_model_cannot_leave_its_comment_or_string() {
    let mut tree = board();
    tree.set_string(Tree::ROOT, "compatible", "a,\"]\n../../x");
    tree.set_string(Tree::ROOT, "model", "x\"\n[qemu]\nmachine = \"evil\"");
    let file = read_back(&draft(&tree));
    assert_eq!((file.name.as_str(), file.qemu), ("x", None));
}

#[test]
fn memory_argument_is_an_address_and_a_size() {
    let bank = |base, size| Some(MemoryBank { base, size });
    assert_eq!(parse_memory("0x8000_0000+2GiB"), bank(0x8000_0000, 2 << 30));
    for text in [
        "",
        "+",
        "0x0",
        "0x0+",
        "0x0+0x0",
        "1+2",
        "0xffffffffffffffff+1GiB",
        "0x0+2GB",
    ] {
        assert_eq!(parse_memory(text), None, "{text}");
    }
}

#[test]
fn boards_without_a_place_for_the_guests_get_linux_alone() {
    let mut tree = board();
    let uart = tree.find("/pl011").unwrap();
    tree.set_cells(uart, "reg", &[0, 0x4080_0000, 0, 0x1000]);
    let memory = tree.find("/memory").unwrap();
    tree.set_cells(memory, "reg", &[0, 0x8000_0000, 0, 0x8000_0000]);
    let names: Vec<&str> = draft(&tree).systems.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["linux.toml"]);
}

#[test]
fn changed_trees_give_a_board_file_that_reads_back_or_are_refused() {
    use crate::testing::{mutate, random::Random};
    let mut random = Random::new(0x6e65_7762_6f61_7264);
    let (first, second) = (virt(Gic::V2), board());
    for _ in 0..300 {
        let base = if random.once_in(2) { &first } else { &second };
        let tree = mutate::tree(&mut random, base);
        let bytes = mutate::bytes(&mut random, &tree.write(), &second.write());
        match new_board(&request(&bytes)) {
            Ok(drafted) => drop(read_back(&drafted)),
            Err(findings) => assert!(findings.has_errors()),
        }
    }
}

/// A dump of QEMU's q35 with `edu` and `e1000e`.
const Q35: &[u8] = include_bytes!("../../../../x86-port/boards/x86-qemu-vtd/acpi.txt");

#[test]
fn pc_is_drafted_from_a_dump_and_its_board_can_be_read_back() {
    let drafted = new_board(&Request {
        name: Some("lab-pc"),
        ..request(Q35)
    })
    .unwrap();
    let tables = drafted.tables.unwrap();
    assert_eq!(tables.as_bytes(), Q35);
    let text = &drafted.board_toml;
    assert!(
        text.contains("{ function = \"00:04.0\" }, # 1234:11e8, class 00ff00"),
        "{text}"
    );
    assert!(text.contains("00:1f.3 cannot be given away"), "{text}");
    // What is offered can be taken as it stands.
    let given = text.replace("#   { function", "{ function");
    let board =
        crate::read_pc_board(&given, Path::new("board.toml"), Some(tables.as_bytes())).unwrap();
    assert_eq!(
        (board.cpus.len(), board.console, board.functions.len()),
        (4, 0x3f8, 3)
    );
    assert!(drafted.open[0].contains("guess"), "{:?}", drafted.open);
    let names: Vec<_> = drafted.systems.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["hello.toml", "linux.toml"]);
}

#[test]
fn dump_of_a_pc_that_lacks_something_is_refused_with_what_to_do() {
    let named = Request {
        name: Some("lab-pc"),
        ..request(Q35)
    };
    let without = |line: &str| {
        let text = String::from_utf8_lossy(Q35);
        let lines = text.lines().filter(|one| !one.starts_with(line));
        lines.map(|one| format!("{one}\n")).collect::<String>()
    };
    let no_map = without("[mem");
    for (request, help) in [
        (request(Q35), "--name"),
        (
            Request {
                console: Some("serial0"),
                ..named.clone()
            },
            "--console 0x3f8",
        ),
        (
            Request {
                tree: no_map.as_bytes(),
                ..named
            },
            "--memory",
        ),
    ] {
        let findings = new_board(&request).unwrap_err().to_string();
        assert!(findings.contains(help), "{findings}");
    }
}
