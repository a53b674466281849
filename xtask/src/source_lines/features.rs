//! What the features that an image is built with turn on besides.

use anyhow::Context;

/// `chosen` with all that these features imply in any of the crates: `manifests` are their `Cargo.toml`s. A feature has the same name in all of them,
/// and what is on in one counts as on in all: too much is counted then, never too little.
///
/// # Errors
/// A manifest is no TOML.
pub fn implied(chosen: &[&str], manifests: &[String]) -> anyhow::Result<Vec<String>> {
    let tables: Vec<toml::Table> = manifests
        .iter()
        .map(|manifest| toml::from_str(manifest).context("a crate's Cargo.toml"))
        .collect::<anyhow::Result<_>>()?;
    let mut on: Vec<String> = chosen.iter().map(|&name| name.to_owned()).collect();
    let mut at = 0;
    while let Some(name) = on.get(at).cloned() {
        at += 1;
        let lists = tables
            .iter()
            .filter_map(|table| table.get("features")?.get(&name)?.as_array());
        for item in lists.flatten().filter_map(|item| item.as_str()) {
            // `crate/feature`, `feature`, or `dep:crate`, which is none.
            let feature = item.rsplit('/').next().unwrap_or(item);
            if !feature.starts_with("dep:") && !on.iter().any(|one| one == feature) {
                on.push(feature.to_owned());
            }
        }
    }
    Ok(on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_brings_what_it_implies_in_every_crate() {
        let manifests = [
            "[features]\nrtds = [\"shared\", \"core/rtds\"]\nshared = [\"core/shared\"]".to_owned(),
            "[features]\nrtds = [\"dep:rtds\"]\nshared = [\"banks\"]\nother = []".to_owned(),
        ];
        let on = implied(&["rtds"], &manifests).expect("manifests");
        assert_eq!(on, ["rtds", "shared", "banks"]);
    }

    #[test]
    fn features_that_imply_each_other_end() {
        let manifest = "[features]\na = [\"b\"]\nb = [\"a\"]".to_owned();
        assert_eq!(implied(&["a"], &[manifest]).expect("manifest"), ["a", "b"]);
    }
}
