//! Lines over an axis, as SVG.

use rtds_experiments::Chart;

use crate::picture::{Anchor, COLOURS, FAINT, INK, Picture, ticks};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
/// Left, top, right, bottom.
const MARGINS: [f64; 4] = [64.0, 40.0, 240.0, 52.0];

/// One axis: where a value is, in pixels.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    from: f64,
    to: f64,
}

impl Axis {
    fn position(&self, value: f64) -> f64 {
        let scale = |value: f64| {
            if self.logarithmic {
                value.log10()
            } else {
                value
            }
        };
        let (low, high) = (scale(self.low), scale(self.high));
        let span = if high > low { high - low } else { 1.0 };
        self.from + (scale(value) - low) / span * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return ticks(self.low, self.high, 6);
        }
        // Powers of two where they are few, powers of ten otherwise.
        let base: f64 = if self.high / self.low <= 300.0 {
            2.0
        } else {
            10.0
        };
        let power = |value: f64| value.log(base);
        let (first, last) = (
            (power(self.low) - 1e-9).ceil() as i32,
            (power(self.high) + 1e-9).floor() as i32,
        );
        (first..=last).map(|exponent| base.powi(exponent)).collect()
    }
}

/// Draws a chart. Every other line is what the line before it is compared with, so the two share a colour and the second is dashed.
pub fn draw(chart: &Chart) -> String {
    let mut picture = Picture::new(WIDTH, HEIGHT);
    let [left, top, right, bottom] = MARGINS;
    let (right, bottom) = (WIDTH - right, HEIGHT - bottom);
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let range = |pick: fn(&(f64, f64)) -> f64| {
        let low = points().map(pick).fold(f64::INFINITY, f64::min);
        let high = points().map(pick).fold(f64::NEG_INFINITY, f64::max);
        if low <= high { (low, high) } else { (0.0, 1.0) }
    };
    let axis = |(low, high): (f64, f64), from, to| Axis {
        low,
        high,
        logarithmic: chart.logarithmic,
        from,
        to,
    };
    let x = axis(range(|point| point.0), left, right);
    let (low, high) = range(|point| point.1);
    let low = if chart.logarithmic { low } else { low.min(0.0) };
    let y = axis((low, high), bottom, top);

    picture.text([left, 22.0], 15.0, Anchor::Start, &chart.title);
    for tick in y.ticks() {
        let at = y.position(tick);
        picture.line([left, at], [right, at], FAINT, 1.0, false);
        picture.text([left - 8.0, at + 4.0], 12.0, Anchor::End, &number(tick));
    }
    for tick in x.ticks() {
        let at = x.position(tick);
        picture.line([at, bottom], [at, bottom + 5.0], INK, 1.0, false);
        picture.text([at, bottom + 19.0], 12.0, Anchor::Middle, &number(tick));
    }
    picture.line([left, bottom], [right, bottom], INK, 1.0, false);
    picture.text(
        [(left + right) / 2.0, HEIGHT - 12.0],
        13.0,
        Anchor::Middle,
        &chart.x,
    );
    picture.upright_text([18.0, (top + bottom) / 2.0], 13.0, &chart.y);

    for (index, line) in chart.lines.iter().enumerate() {
        let colour = COLOURS[index / 2 % COLOURS.len()];
        let compared = index % 2 == 1;
        let points: Vec<[f64; 2]> = line
            .points
            .iter()
            .map(|(a, b)| [x.position(*a), y.position(*b)])
            .collect();
        picture.polyline(&points, colour, 2.0, compared);
        for point in &points {
            picture.dot(*point, colour, !compared);
        }
        let at = top + 12.0 + 22.0 * index as f64;
        picture.line(
            [right + 14.0, at],
            [right + 44.0, at],
            colour,
            2.0,
            compared,
        );
        picture.dot([right + 29.0, at], colour, !compared);
        picture.text([right + 52.0, at + 4.0], 12.0, Anchor::Start, &line.name);
    }
    picture.finish()
}

/// A number without needless digits.
fn number(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use rtds_experiments::Line;

    use super::*;

    fn chart(logarithmic: bool, points: Vec<(f64, f64)>) -> Chart {
        Chart {
            name: "test".to_owned(),
            title: "A & B".to_owned(),
            x: "x".to_owned(),
            y: "y".to_owned(),
            logarithmic,
            lines: vec![Line {
                name: "line".to_owned(),
                points,
            }],
        }
    }

    #[test]
    fn ends_of_a_line_are_at_the_corners_of_the_axes() {
        let svg = draw(&chart(false, vec![(1.0, 0.0), (3.0, 10.0)]));
        assert!(svg.contains(r#"points="64.0,368.0 520.0,40.0""#), "{svg}");
        assert!(svg.contains("A &amp; B"));
    }

    #[test]
    fn logarithmic_axes_have_equal_steps_for_equal_factors() {
        let svg = draw(&chart(
            true,
            vec![(4.0, 10.0), (16.0, 100.0), (64.0, 1000.0)],
        ));
        assert!(
            svg.contains(r#"points="64.0,368.0 292.0,204.0 520.0,40.0""#),
            "{svg}"
        );
    }

    #[test]
    fn chart_without_points_is_drawn() {
        assert!(draw(&chart(false, Vec::new())).ends_with("</svg>\n"));
    }
}
