//! The verbs that only look or only write files: `check`, `build`, `report`, `explain`.

use std::path::Path;

use anyhow::{Context, bail};

use crate::build::Builder;

/// `cargo xtask check`: diagnostics, or a summary on one screen.
///
/// # Errors
/// The system file cannot be read at all.
pub fn check(builder: &Builder, system: &Path, json: bool) -> anyhow::Result<u8> {
    if !system.is_file() {
        bail!("there is no system file {}", system.display());
    }
    match compiler::prove(system, &builder.host()) {
        Ok(proof) => {
            if json {
                println!("{}", serde_json::to_string_pretty(&proof.report)?);
            } else {
                eprint!("{}", proof.warnings.render(crate::build::colour()));
                print!("{}", proof.summary());
            }
            Ok(0)
        }
        Err(diagnostics) => {
            if json {
                println!("{}", serde_json::to_string_pretty(&diagnostics)?);
            } else {
                eprint!("{}", diagnostics.render(crate::build::colour()));
            }
            Ok(1)
        }
    }
}

/// `cargo xtask build`.
///
/// # Errors
/// See [`Builder::build`].
pub fn build(builder: &Builder, system: &Path) -> anyhow::Result<u8> {
    let built = builder.build(system)?;
    println!(
        "{}",
        builder
            .workspace()
            .shown(&built.folder.join("bulkhead.img"))
    );
    Ok(0)
}

/// `cargo xtask report`.
///
/// # Errors
/// The system's diagnostics.
pub fn report(builder: &Builder, system: &Path, json: bool) -> anyhow::Result<u8> {
    let proof = builder.prove(system)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&proof.report)?);
        return Ok(0);
    }
    let folder = builder
        .workspace()
        .output()
        .join(&proof.board_name)
        .join(&proof.system_name);
    builder.write_report(&folder, &proof.report)?;
    println!("{}", builder.workspace().shown(&folder.join("report.html")));
    Ok(0)
}

/// `cargo xtask explain`.
///
/// # Errors
/// The code does not exist.
pub fn explain(code: &str) -> anyhow::Result<u8> {
    let code = code.to_ascii_uppercase();
    let text = compiler::explain(&code)
        .with_context(|| format!("there is no diagnostic {code}; codes look like BH0104"))?;
    println!("{code}: {}", text.trim_end());
    Ok(0)
}
