//! What all drawings are made of.

use std::fmt::Display;

use super::super::markup::Markup;
use super::axis::{SHORTEST, Shape};

/// Width of every drawing in its own units; the page scales it.
pub(super) const WIDTH: u64 = 860;

/// A drawing with a title and a description for those who do not see it.
pub(super) fn drawing(
    out: &mut Markup,
    height: u64,
    title: &str,
    description: &str,
    contents: impl FnOnce(&mut Markup),
) {
    let view = format!("0 0 {WIDTH} {height}");
    out.element(
        "svg",
        &[
            ("class", &"drawing"),
            ("viewBox", &view),
            ("role", &"img"),
            ("aria-label", &format!("{title}. {description}")),
        ],
        |out| {
            out.leaf("title", &[], title);
            out.leaf("desc", &[], description);
            contents(out);
        },
    );
}

/// Where a text is anchored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text.
pub(super) fn text(
    out: &mut Markup,
    (x, y): (u64, u64),
    anchor: Anchor,
    class: &'static str,
    text: impl Display,
) {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    out.leaf(
        "text",
        &[
            ("x", &x),
            ("y", &y),
            ("text-anchor", &anchor),
            ("class", &class),
        ],
        text,
    );
}

/// A rectangle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rect {
    pub x: u64,
    pub y: u64,
    pub width: u64,
    pub height: u64,
}

/// How a piece looks.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub class: String,
    pub pattern: Option<String>,
    pub shape: Shape,
    /// Shown when one points at it.
    pub title: String,
}

/// A piece of an address space or of time, with the marks of an enlarged or cut one.
pub(super) fn piece(out: &mut Markup, rect: Rect, look: &Look) {
    let Rect {
        x,
        y,
        width,
        height,
    } = rect;
    let class = match look.shape {
        Shape::Enlarged => format!("piece enlarged {}", look.class),
        Shape::True | Shape::Cut => format!("piece {}", look.class),
    };
    out.element("g", &[], |out| {
        out.leaf("title", &[], &look.title);
        let place: [(&'static str, &dyn Display); 4] =
            [("x", &x), ("y", &y), ("width", &width), ("height", &height)];
        let [a, b, c, d] = place;
        out.empty("rect", &[("class", &class), a, b, c, d]);
        if let Some(pattern) = &look.pattern {
            out.empty("rect", &[("fill", pattern), a, b, c, d]);
        }
        // A line of text keeps its letters free: its label has the mark.
        if look.shape == Shape::Cut && height >= 2 * SHORTEST {
            zigzag(out, x, y + height / 2, width);
        }
    });
}

/// The mark of a cut: two parallel jagged lines.
pub(super) fn zigzag(out: &mut Markup, x: u64, y: u64, width: u64) {
    const STEP: u64 = 8;
    let mut upper = format!("M{x} {}", y.saturating_sub(2));
    let mut lower = format!("M{x} {}", y + 4);
    for step in 1..=width / STEP {
        let up = if step % 2 == 0 { 0 } else { 4 };
        let at = x + step * STEP;
        upper.push_str(&format!("L{at} {}", (y + up).saturating_sub(2)));
        lower.push_str(&format!("L{at} {}", y + up + 4));
    }
    out.empty("path", &[("class", &"cut-gap"), ("d", &upper)]);
    out.empty("path", &[("class", &"cut"), ("d", &upper)]);
    out.empty("path", &[("class", &"cut"), ("d", &lower)]);
}

/// `text`, shortened to `most` characters at its start: the end of a path says most.
pub(super) fn tail(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().skip(count - most.saturating_sub(1)).collect();
    format!("…{kept}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_keeps_its_end() {
        assert_eq!(tail("/soc/serial@1", 20), "/soc/serial@1");
        assert_eq!(tail("/soc/serial@1", 9), "…serial@1");
        assert_eq!(tail("äöü", 2), "…ü");
    }
}
