//! The verbs that only look or only write files: `check`, `build`, `report`, `explain`.

use std::path::Path;

use anyhow::{Context, bail};

use crate::build::{Builder, guest_file_name};
use crate::u_boot;

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

/// `cargo xtask build`: also what U-Boot wants, where that is asked for.
///
/// # Errors
/// See [`Builder::build`] and [`u_boot::write`].
pub fn build(builder: &Builder, system: &Path, for_u_boot: bool) -> anyhow::Result<u8> {
    let built = builder.build(system)?;
    let mut files = vec![built.folder.join("bulkhead.img")];
    let separate = built.compiled.files.iter();
    files.extend(separate.map(|file| built.folder.join(guest_file_name(file))));
    if for_u_boot {
        files.extend(u_boot::write(builder, &built)?);
    }
    for file in files {
        println!("{}", builder.workspace().shown(&file));
    }
    Ok(0)
}

/// `cargo xtask report`: who owns what and what each guest is told, without building an image.
///
/// # Errors
/// The system's diagnostics.
pub fn report(builder: &Builder, system: &Path, json: bool) -> anyhow::Result<u8> {
    let proof = builder.prove(system)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&proof.report)?);
        return Ok(0);
    }
    for written in builder.write_proof(&proof)? {
        println!("{}", builder.workspace().shown(&written));
    }
    Ok(0)
}

/// `cargo xtask explain`: one code or field at length, or all codes with their titles.
///
/// # Errors
/// There is no such code or field.
pub fn explain(code: Option<&str>) -> anyhow::Result<u8> {
    let Some(code) = code else {
        for (code, title) in compiler::codes() {
            println!("{code}  {title}");
        }
        return Ok(0);
    };
    if let Some(text) = compiler::explain_field(code) {
        println!("{}", text.trim_end());
        return Ok(0);
    }
    let code = code.to_ascii_uppercase();
    let text = compiler::explain(&code).with_context(|| {
        format!("there is no diagnostic or field {code}; `cargo xtask explain` lists the codes, docs/reference.md the fields")
    })?;
    let title = compiler::codes()
        .find(|(known, _)| *known == code)
        .map_or("", |(_, title)| title);
    println!("{code}: {title}\n\n{}", text.trim_end());
    Ok(0)
}
