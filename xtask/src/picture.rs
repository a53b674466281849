//! A small SVG writer for charts: shapes, text, and colours that colour-blind readers can tell apart.

use std::fmt::Write;

/// Distinct colours: those of Okabe and Ito ("Color universal design", 2008) that stand out on white.
pub const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];

/// For axes and text.
pub const INK: &str = "#333333";
/// For lines that only guide the eye.
pub const FAINT: &str = "#dddddd";

/// Where a text is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At its begin.
    Start,
    /// In the middle.
    Middle,
    /// At its end.
    End,
}

impl Anchor {
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// A picture that grows by what is drawn on it; the last comes on top. Lengths are pixels, from the upper left corner.
#[derive(Debug)]
pub struct Picture {
    width: f64,
    height: f64,
    body: String,
}

impl Picture {
    /// An empty picture of this size.
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    /// A filled rectangle; the title is shown where a pointer rests on it.
    pub fn rectangle(&mut self, [x, y, width, height]: [f64; 4], colour: &str, title: &str) {
        let title = escape(title);
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"><title>{title}</title></rect>"#
        ));
    }

    /// A line between two points, `dashed` or not.
    pub fn line(&mut self, from: [f64; 2], to: [f64; 2], colour: &str, width: f64, dashed: bool) {
        self.polyline(&[from, to], colour, width, dashed);
    }

    /// Lines from point to point.
    pub fn polyline(&mut self, points: &[[f64; 2]], colour: &str, width: f64, dashed: bool) {
        let points: Vec<String> = points
            .iter()
            .map(|[x, y]| format!("{x:.1},{y:.1}"))
            .collect();
        let points = points.join(" ");
        let dashes = if dashed {
            r#" stroke-dasharray="6 4""#
        } else {
            ""
        };
        self.add(format_args!(
            r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>"#
        ));
    }

    /// A dot around a point, or a ring.
    pub fn dot(&mut self, [x, y]: [f64; 2], colour: &str, filled: bool) {
        let fill = if filled { colour } else { "white" };
        self.add(format_args!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>"#
        ));
    }

    /// A filled triangle with these corners.
    pub fn triangle(&mut self, corners: [[f64; 2]; 3], colour: &str) {
        let corners = corners.map(|[x, y]| format!("{x:.1},{y:.1}")).join(" ");
        self.add(format_args!(
            r#"<polygon points="{corners}" fill="{colour}"/>"#
        ));
    }

    /// A text whose base line begins, ends or is centred at a point.
    pub fn text(&mut self, [x, y]: [f64; 2], size: f64, anchor: Anchor, text: &str) {
        let (anchor, text) = (anchor.word(), escape(text));
        self.add(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// A text that reads from bottom to top, centred at a point.
    pub fn upright_text(&mut self, [x, y]: [f64; 2], size: f64, text: &str) {
        let text = escape(text);
        self.add(format_args!(
            r#"<text transform="translate({x:.1} {y:.1}) rotate(-90)" font-size="{size}" text-anchor="middle">{text}</text>"#
        ));
    }

    /// The file's text.
    pub fn finish(self) -> String {
        let Self {
            width,
            height,
            body,
        } = self;
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" "#,
                r#"font-family="sans-serif" fill="{ink}">"#,
                "\n<rect width=\"{w}\" height=\"{h}\" fill=\"white\"/>\n{body}</svg>\n"
            ),
            w = width,
            h = height,
            ink = INK,
            body = body
        )
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.body, "{element}");
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// Round numbers between two others, about so many.
pub fn ticks(low: f64, high: f64, about: u32) -> Vec<f64> {
    let span = high - low;
    if span <= 0.0 || !span.is_finite() || about == 0 {
        return vec![low];
    }
    let rough = span / f64::from(about);
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = steps
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|count| count as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 100.0, 5), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(2.3, 4.7, 5), [2.5, 3.0, 3.5, 4.0, 4.5]);
        assert_eq!(ticks(1.0, 1.0, 5), [1.0]);
    }

    #[test]
    fn names_cannot_break_out_of_the_picture() {
        let mut picture = Picture::new(10.0, 10.0);
        picture.text([0.0, 0.0], 10.0, Anchor::Start, "<script>&\"");
        let svg = picture.finish();
        assert!(svg.contains("&lt;script&gt;&amp;&quot;</text>"), "{svg}");
    }
}
