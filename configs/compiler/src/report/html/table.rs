//! Tables.

use super::super::facts::Owner;
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::units::{address, size};

/// A cell of a table.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// Words.
    Text(String),
    /// A number, to the right.
    Number(String),
    /// A path, a property, an address: code letters.
    Code(String),
    /// An owner with a patch of its colour: its name and the patch's class.
    Owner(String, String),
    /// Words that warn.
    Danger(String),
}

impl Cell {
    pub fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    pub fn number(number: impl ToString) -> Self {
        Self::Number(number.to_string())
    }

    pub fn code(text: impl ToString) -> Self {
        Self::Code(text.to_string())
    }

    pub fn address(value: u64) -> Self {
        Self::Number(address(value))
    }

    pub fn size(bytes: u64) -> Self {
        Self::Number(size(bytes))
    }

    pub fn owner(owner: &Owner, owners: &Owners<'_>) -> Self {
        Self::Owner(owner.to_string(), owners.class(owner))
    }

    /// True when its column's head stands to the right, too.
    fn is_number(&self) -> bool {
        matches!(self, Self::Number(_))
    }

    fn write(&self, out: &mut Markup) {
        match self {
            Self::Text(text) => out.element("td", &[], |out| out.prose(text)),
            Self::Number(number) => out.leaf("td", &[("class", &"number")], number),
            Self::Code(code) => out.element("td", &[], |out| out.code(code)),
            Self::Owner(name, class) => out.element("td", &[("class", &"owner")], |out| {
                out.leaf(
                    "span",
                    &[
                        ("class", &format_args!("patch {class}")),
                        ("aria-hidden", &"true"),
                    ],
                    "",
                );
                out.text(name);
            }),
            Self::Danger(text) => out.element("td", &[("class", &"danger")], |out| {
                out.text("⚠ ");
                out.text(text);
            }),
        }
    }
}

/// A table with a caption for those who jump from table to table.
pub(super) fn table(out: &mut Markup, caption: &str, heads: &[&str], rows: &[Vec<Cell>]) {
    out.element("div", &[("class", &"table")], |out| {
        out.element("table", &[], |out| {
            out.leaf("caption", &[], caption);
            out.element("thead", &[], |out| {
                out.element("tr", &[], |out| {
                    for (column, head) in heads.iter().enumerate() {
                        let first = rows.first().and_then(|row| row.get(column));
                        let class = if first.is_some_and(Cell::is_number) {
                            "number"
                        } else {
                            "word"
                        };
                        out.leaf("th", &[("scope", &"col"), ("class", &class)], head);
                    }
                });
            });
            out.element("tbody", &[], |out| {
                for row in rows {
                    out.element("tr", &[], |out| {
                        for cell in row {
                            cell.write(out);
                        }
                    });
                }
            });
        });
    });
}

/// Names and values of one thing.
pub(super) fn facts(out: &mut Markup, facts: &[(&str, String)]) {
    out.element("dl", &[], |out| {
        for (name, value) in facts {
            out.element("div", &[], |out| {
                out.leaf("dt", &[], name);
                out.leaf("dd", &[], value);
            });
        }
    });
}
