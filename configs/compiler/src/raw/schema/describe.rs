//! Kinds of values in words.

use super::{Kind, Word};
use crate::raw::quantity::human_time;

impl Kind {
    /// What a value of this kind is, with an article.
    pub fn describe(&self) -> String {
        alternatives(&self.choices())
    }

    /// What a value of this kind can be, each choice by itself.
    fn choices(&self) -> Vec<String> {
        let text = match self {
            Self::Text(what) => format!("a string ({what})"),
            Self::Name => "a string of 1 to 15 characters of a-z, 0-9 and `-`".to_owned(),
            Self::Boolean => return vec!["`true`".to_owned(), "`false`".to_owned()],
            Self::Number { least, most } => match most {
                &u32::MAX => format!("a number from {least} up"),
                _ => format!("a number from {least} to {most}"),
            },
            Self::Size => "a size like \"64MiB\"".to_owned(),
            Self::Address => "an address like \"0x40000000\"".to_owned(),
            Self::Time { least, most } => {
                let [least, most] = [least, most].map(|time| human_time(*time));
                format!("a time like \"2ms\", from {least} to {most}")
            }
            Self::Frequency => "a frequency like \"100MHz\"".to_owned(),
            Self::Word(words) => return words.iter().map(Word::quoted).collect(),
            Self::Table(table) => format!("a table {}", table.shape()),
            Self::Named(table) => format!("tables `{}`", table.header),
            Self::List(of) => format!("an array of {}", of.plural()),
            Self::OneOf(kinds) => return kinds.iter().flat_map(Kind::choices).collect(),
        };
        vec![text]
    }

    /// What several values of this kind are.
    fn plural(&self) -> String {
        match self {
            Self::Text(_) | Self::Name => "strings".to_owned(),
            Self::Boolean => "booleans".to_owned(),
            Self::Number { .. } => "numbers".to_owned(),
            Self::Size => "sizes".to_owned(),
            Self::Address => "addresses".to_owned(),
            Self::Time { .. } => "times".to_owned(),
            Self::Frequency => "frequencies like \"100MHz\"".to_owned(),
            Self::Word(_) => self.describe(),
            Self::Table(table) | Self::Named(table) => format!("tables {}", table.shape()),
            Self::List(_) => "arrays".to_owned(),
            Self::OneOf(kinds) => {
                let kinds: Vec<String> = kinds.iter().map(Kind::plural).collect();
                alternatives(&kinds)
            }
        }
    }

    /// The words that a value of this kind can be.
    pub fn words(&self) -> &'static [Word] {
        match self {
            Self::Word(words) => words,
            Self::OneOf(kinds) => kinds
                .iter()
                .map(Kind::words)
                .find(|words| !words.is_empty())
                .unwrap_or(&[]),
            _ => &[],
        }
    }
}

impl super::Table {
    /// The table with the fields that it must have: `{ start = …, length = … }`.
    pub fn shape(&self) -> String {
        let needed = self
            .fields
            .iter()
            .filter(|field| field.presence == super::Presence::Required);
        let needed: Vec<String> = needed.map(|field| format!("{} = …", field.name)).collect();
        match needed.as_slice() {
            [] => "{ … }".to_owned(),
            _ if self.header.starts_with('[') => format!("`{}`", self.header),
            _ => format!("{{ {} }}", needed.join(", ")),
        }
    }
}

impl Word {
    fn quoted(&self) -> String {
        format!("\"{}\"", self.text)
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
