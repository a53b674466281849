//! Writes markup that is well-formed by construction: every element is closed, every text and attribute is escaped.
//!
//! The result is both HTML and XML, so that a test can parse it.

use std::fmt::{Display, Write as _};

/// Attributes of an element: names are ours, values may be anybody's.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

/// A growing piece of markup.
#[derive(Debug, Default)]
pub(super) struct Markup {
    out: String,
}

impl Markup {
    /// The markup.
    pub fn finish(self) -> String {
        self.out
    }

    /// An element with contents.
    pub fn element(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        contents: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        self.out.push('>');
        contents(self);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// An element without contents: a void element of HTML, or a shape of SVG.
    pub fn empty(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.open(name, attributes);
        self.out.push_str("/>");
    }

    /// An element with a text in it.
    pub fn leaf(&mut self, name: &'static str, attributes: Attributes<'_>, text: impl Display) {
        self.element(name, attributes, |out| out.text(text));
    }

    /// A text.
    pub fn text(&mut self, text: impl Display) {
        escape(&mut self.out, &text.to_string());
    }

    /// A constant of this program, as it is: a style sheet, a document type.
    pub fn constant(&mut self, text: &'static str) {
        self.out.push_str(text);
    }

    /// A path or another long name in code letters; a line may break behind its separators.
    pub fn code(&mut self, text: &str) {
        self.element("code", &[], |out| {
            for part in text.split_inclusive(['/', ',', '@']) {
                out.text(part);
                if part.ends_with(['/', ',']) {
                    out.empty("wbr", &[]);
                }
            }
        });
    }

    /// A sentence in which backticks stand around code, as in messages.
    pub fn prose(&mut self, text: &str) {
        for (index, part) in text.split('`').enumerate() {
            match index % 2 {
                0 => self.text(part),
                _ => self.leaf("code", &[], part),
            }
        }
    }

    fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes {
            self.out.push(' ');
            self.out.push_str(key);
            self.out.push_str("=\"");
            escape(&mut self.out, &value.to_string());
            self.out.push('"');
        }
    }
}

/// Characters that mean something to a browser become references. Those that a reader could not see, or that would turn the order of
/// others (Unicode Standard Annex 9), are spelt out.
fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            _ if is_invisible(character) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\u{27e8}U+{:04X}\u{27e9}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
}

fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_texts_and_attributes_is_escaped() {
        let mut out = Markup::default();
        out.leaf("a", &[("title", &"\"><script>")], "</a>&'");
        assert_eq!(
            out.finish(),
            "<a title=\"&quot;&gt;&lt;script&gt;\">&lt;/a&gt;&amp;&#39;</a>"
        );
    }

    #[test]
    fn characters_that_cannot_be_seen_are_spelt_out() {
        let mut out = Markup::default();
        out.text("a\u{202e}b\0c\u{7}");
        assert_eq!(out.finish(), "a⟨U+202E⟩b⟨U+0000⟩c⟨U+0007⟩");
    }

    #[test]
    fn long_path_may_break_behind_its_slashes_only() {
        let mut out = Markup::default();
        out.code("/soc/uart@1");
        assert_eq!(out.finish(), "<code>/<wbr/>soc/<wbr/>uart@1</code>");
    }

    #[test]
    fn backticks_become_code_letters() {
        let mut out = Markup::default();
        out.prose("write `a = <1>` here");
        assert_eq!(out.finish(), "write <code>a = &lt;1&gt;</code> here");
    }

    #[test]
    fn empty_element_closes_itself() {
        let mut out = Markup::default();
        out.empty("rect", &[("width", &7)]);
        assert_eq!(out.finish(), "<rect width=\"7\"/>");
    }
}
