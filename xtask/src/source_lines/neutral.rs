//! The core, the log, the scheduler and the configuration compiler name no architecture, but for the core's one module for that.

use std::path::{Path, PathBuf};

use super::blank_comments_and_strings;

/// Folders whose sources are the same on every architecture.
const NEUTRAL: [&str; 4] = ["hv/src", "log/src", "rtds/src", "configs/compiler/src"];
/// What in them is not.
const ARCHITECTURES: &str = "hv/src/arch";

/// All sources below a folder.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().expect("a folder of the checkout") {
        let path = entry.expect("its entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn no_neutral_source_depends_on_the_architecture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("root");
    let mut all = Vec::new();
    for folder in NEUTRAL {
        sources(&root.join(folder), &mut all);
    }
    assert!(all.len() > 100, "{} sources were found", all.len());
    let depends = |path: &Path| {
        let source = std::fs::read_to_string(path).expect("a source");
        blank_comments_and_strings(&source).contains("target_arch")
    };
    let (architectures, neutral): (Vec<_>, Vec<_>) = all
        .iter()
        .map(|path| path.strip_prefix(root).expect("below the root"))
        .filter(|path| depends(&root.join(path)))
        .partition(|path| path.starts_with(ARCHITECTURES));
    assert!(
        !architectures.is_empty(),
        "the condition has another name now"
    );
    assert_eq!(neutral, Vec::<&Path>::new());
}
