//! The choices that a device tree leaves open.

use super::{Draft, Request, file, machine};
use crate::board::{Board, BoardError, BoardToml, Memory, UartKind};
use crate::devicetree::{NodeId, Tree};
use crate::range::{AddressRange, align_up};

/// Why something was chosen.
pub(super) struct Reason {
    pub text: String,
    /// True when the tree does not settle it.
    pub guess: bool,
}

impl Reason {
    fn known(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            guess: false,
        }
    }

    fn guess(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            guess: true,
        }
    }
}

/// Alignment of the image, and the distance from the start of RAM at which boot loaders put a kernel.
const BLOCK: u64 = 2 << 20;
/// What an image with Linux in it takes, and then some.
const ROOM: u64 = 96 << 20;
/// Longest name of a board that is made from a tree.
const LONGEST_NAME: usize = 40;
/// Serial ports that are tried; more are no board's.
const MOST_PORTS: usize = 64;

/// Puts a board together.
///
/// # Errors
/// Everything that is missing.
pub(super) fn draft(request: &Request<'_>, tree: &Tree) -> Result<Draft, Vec<BoardError>> {
    let mut file = file(request, name(request, tree), description(tree));
    let memory = Memory::of(tree, &file).map_err(|error| vec![error])?;
    let (load, why_load) = load(request, &memory).map_err(|error| vec![error])?;
    file.load = load;
    let (console, why_console, board) = console(&file, request, tree)?;
    file.console = console;
    file.qemu = machine(request, &board);
    Ok(Draft {
        file,
        board,
        console: why_console,
        load: why_load,
    })
}

/// `acme,rocket-board` gives `rocket-board`.
fn name(request: &Request<'_>, tree: &Tree) -> String {
    if let Some(name) = request.name {
        return name.to_owned();
    }
    let compatible = tree.string(Tree::ROOT, "compatible").unwrap_or_default();
    let model = compatible
        .split_once(',')
        .map_or(compatible, |(_, model)| model);
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9') => c,
        _ => '-',
    };
    let name: String = model.chars().map(plain).take(LONGEST_NAME).collect();
    match name.trim_matches('-') {
        "" => "board".to_owned(),
        name => name.to_owned(),
    }
}

fn description(tree: &Tree) -> String {
    let model = tree.string(Tree::ROOT, "model");
    let compatible = tree.string(Tree::ROOT, "compatible");
    model.or(compatible).unwrap_or("A board").to_owned()
}

/// 2 MiB above the start of the first bank that has room there, as boot loaders and QEMU do it.
fn load(request: &Request<'_>, memory: &Memory) -> Result<(u64, Reason), BoardError> {
    if let Some(load) = request.load {
        return Ok((load, Reason::known("As `--load` says.")));
    }
    let taken = |range: AddressRange| {
        let mut over = memory.reserved.iter().map(|(kept, _)| kept);
        over.find(|kept| kept.overlaps(range)).copied()
    };
    for bank in &memory.banks {
        let mut start = bank
            .base
            .checked_add(BLOCK)
            .and_then(|at| align_up(at, BLOCK));
        while let Some(range) = start.and_then(|at| AddressRange::new(at, ROOM)) {
            if !bank.contains(range) {
                break;
            }
            match taken(range) {
                // What is kept ends behind where it begins: each step goes up.
                Some(kept) => start = align_up(kept.end(), BLOCK),
                None => {
                    let text = format!(
                        "In the first bank of RAM ({bank}), 2 MiB above its start or above what is reserved there, as boot loaders place a kernel."
                    );
                    return Ok((range.base, Reason::guess(text)));
                }
            }
        }
    }
    Err(BoardError::Load(
        memory.banks.first().map_or(0, |bank| bank.base),
    ))
}

/// A port to try: what `console` of the board file says, and why.
type Candidate = (Option<String>, Reason);

/// The first serial port that works: the one that was asked for, or the one that the tree names, or any.
fn console(
    file: &BoardToml,
    request: &Request<'_>,
    tree: &Tree,
) -> Result<(Option<String>, Reason, Board), Vec<BoardError>> {
    let mut refused = Vec::new();
    for (console, mut why) in candidates(request, tree) {
        let file = BoardToml {
            console: console.clone(),
            ..file.clone()
        };
        match Board::from_tree(file, tree.clone()) {
            Ok(board) if board.console.kind.driver().is_some() => {
                for (_, obstacle) in &refused {
                    why.text = format!("{} {obstacle}", why.text);
                }
                return Ok((console, why, board));
            }
            Ok(board) => {
                let path = board.tree.path(board.console.node);
                let kind = board.console.kind.name();
                let text = format!("{path} is {kind}, for which there is no driver.");
                refused.push((BoardError::Console(text.clone()), text));
            }
            Err(mut errors) => {
                let is_console = |error: &BoardError| matches!(error, BoardError::Console(_));
                if !errors.iter().all(is_console) {
                    // The console is no matter when the rest does not fit.
                    errors.retain(|error| !is_console(error));
                    return Err(errors);
                }
                refused.extend(errors.into_iter().map(|error| {
                    let text = format!("Not taken: {error}.");
                    (error, text)
                }));
            }
        }
    }
    let none = || BoardError::Console("it has no serial port that Bulkhead drives".to_owned());
    let mut errors: Vec<BoardError> = refused.into_iter().map(|(error, _)| error).collect();
    if errors.is_empty() {
        errors.push(none());
    }
    Err(errors)
}

fn candidates(request: &Request<'_>, tree: &Tree) -> Vec<Candidate> {
    if let Some(console) = request.console {
        return vec![(
            Some(console.to_owned()),
            Reason::known("As `--console` says."),
        )];
    }
    let chosen = tree.find("/chosen");
    let stdout = chosen.is_some_and(|chosen| tree.has(chosen, "stdout-path"));
    let named = stdout.then(|| {
        let why = Reason::known("`/chosen/stdout-path` of the device tree names it.");
        (None, why)
    });
    let aliases = (0..10).map(|number| format!("serial{number}"));
    let aliased = aliases.filter_map(|alias| {
        let node = tree.named(&alias)?;
        let why = Reason::guess(format!(
            "The first alias that leads to an enabled port that Bulkhead drives: {}.",
            tree.path(node)
        ));
        drivable(tree, node).then_some((Some(alias), why))
    });
    let others = tree
        .nodes()
        .filter(|node| drivable(tree, *node))
        .map(|node| {
            let why = Reason::guess("The first enabled port of a kind that Bulkhead drives.");
            (Some(tree.path(node)), why)
        });
    named
        .into_iter()
        .chain(aliased)
        .chain(others)
        .take(MOST_PORTS)
        .collect()
}

fn drivable(tree: &Tree, node: NodeId) -> bool {
    tree.is_enabled(node) && UartKind::of(tree, node).driver().is_some()
}
