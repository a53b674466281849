//! Writes the seeds of each target to `corpus/`: the repository's system files, and the board's tree.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let trees = here.join("corpus/board_tree");
    std::fs::create_dir_all(&trees)?;
    std::fs::write(trees.join("bench"), bulkhead_fuzz::board())?;
    let systems = here.join("corpus/system_file");
    std::fs::create_dir_all(&systems)?;
    std::fs::write(systems.join("bench"), bulkhead_fuzz::SYSTEM)?;
    for folder in ["../faults", "../valid"] {
        for entry in std::fs::read_dir(here.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "toml") {
                // The fuzzer knows one board: each seed is moved to it.
                let text =
                    std::fs::read_to_string(&path)?.replace("board = \"lab\"", "board = \"bench\"");
                std::fs::write(systems.join(path.file_stem().unwrap_or_default()), text)?;
            }
        }
    }
    Ok(())
}
