//! How the samples of each row are spread, on a logarithmic axis: a thin line from the least to the most, a thick one from the median to the 99th percentile.

use systems::costs::{CONTROLLERS, IMAGE_BYTES, Sample};

use super::bars::{LEFT, NAMES, RIGHT, TOP, WIDTH, decades, legend, order, position};
use super::outcome::{Line, Outcome};
use crate::picture::{Anchor, COLOURS, Picture};

const ROW: f64 = 13.0;
const GAP: f64 = 12.0;
/// The rows of which each is one figure of the same samples: the median, the 99th percentile, the most.
const WAKE: [&str; 3] = ["wake-p50", "wake-p99", "wake-max"];
const WAKE_TITLE: &str = "wake-up on a shared CPU, from p50";

/// Of whom, as in [`NAMES`], and what was measured.
type Spread = (usize, Sample);

/// The samples of a row, for the controller with this index.
fn spreads(line: &Line, controller: usize) -> Vec<Spread> {
    let cells = line.cells(controller);
    let found = [
        (0, cells.bare),
        (1, cells.bulkhead),
        (4, cells.xen),
        (5, cells.xen_null),
    ];
    let measured = found.into_iter();
    measured
        .filter_map(|(of, sample)| Some((of, sample?)))
        .collect()
}

/// Who wakes up how late: three rows that are about the same samples.
fn wake(outcome: &Outcome, controller: usize) -> Option<Vec<Spread>> {
    let figure = |name: &str| {
        let mut rows = outcome.rows.iter();
        let line = rows.find(|line| line.name == name)?;
        line.cells(controller).bulkhead.map(|sample| sample.median)
    };
    let [median, p99, most] = WAKE.map(figure);
    let sample = Sample {
        least: median?,
        median: median?,
        p99: p99?,
        most: most?,
    };
    Some(vec![(1, sample)])
}

/// Draws all rows that count instructions and have more than one sample, for the controller with this index in [`CONTROLLERS`].
pub fn draw(outcome: &Outcome, controller: usize) -> String {
    let single = |name: &str| [IMAGE_BYTES, systems::costs::BOOT].contains(&name);
    let lines = outcome.rows.iter();
    let lines = lines.filter(|line| !single(&line.name) && !WAKE.contains(&line.name.as_str()));
    let rows = lines.map(|line| (line.title.as_str(), spreads(line, controller)));
    let wake = wake(outcome, controller).map(|wake| (WAKE_TITLE, wake));
    let rows: Vec<(&str, Vec<Spread>)> = rows
        .chain(wake)
        .filter(|(_, spreads)| !spreads.is_empty())
        .collect();
    let height = |spreads: &[Spread]| spreads.len() as f64 * ROW + GAP;
    let bottom = TOP + rows.iter().map(|(_, spreads)| height(spreads)).sum::<f64>();
    let mut picture = Picture::new(WIDTH, bottom + 40.0);
    let name = CONTROLLERS.get(controller).unwrap_or(&"");
    let title = format!(
        "Instructions with {name}: from the least sample to the most, thick from the median to the 99th percentile"
    );
    picture.text([16.0, 24.0], 15.0, Anchor::Start, &title);
    legend(&mut picture, &[0, 1, 4, 5]);
    decades(&mut picture, bottom);
    let mut y = TOP;
    for (title, spreads) in &rows {
        let middle = y + spreads.len() as f64 * ROW / 2.0 + 4.0;
        picture.text([LEFT - 8.0, middle], 12.0, Anchor::End, title);
        for spread in spreads {
            draw_spread(&mut picture, y + ROW / 2.0, spread);
            y += ROW;
        }
        y += GAP;
    }
    picture.finish()
}

fn draw_spread(picture: &mut Picture, y: f64, (of, sample): &Spread) {
    let colour = COLOURS[order(*of)];
    let [least, median, p99, most] =
        [sample.least, sample.median, sample.p99, sample.most].map(position);
    picture.line([least, y], [most, y], colour, 1.0, false);
    for end in [least, most] {
        picture.line([end, y - 3.0], [end, y + 3.0], colour, 1.0, false);
    }
    let title = format!(
        "{}: {} to {}, p50 {}, p99 {}",
        NAMES[*of], sample.least, sample.most, sample.median, sample.p99
    );
    let thick = [median - 1.0, y - 4.0, (p99 - median) + 2.0, 8.0];
    picture.rectangle(thick, colour, &title);
    let label = if sample.least == sample.most {
        sample.most.to_string()
    } else {
        format!("{} to {}", sample.least, sample.most)
    };
    let at = most.min(RIGHT) + 6.0;
    picture.text([at, y + 3.5], 10.0, Anchor::Start, &label);
}

#[cfg(test)]
mod tests {
    use super::super::outcome::example;
    use super::*;

    #[test]
    fn row_has_the_spread_of_each_who_was_measured_and_of_nobody_else() {
        let svg = draw(&example(0, 0), 0);
        assert!(svg.contains("PSCI_VERSION round trip"), "{svg}");
        assert!(svg.contains("<title>Bulkhead: "), "{svg}");
        assert!(!svg.contains("<title>Bao"), "a median is no spread");
        assert!(!svg.contains("image without guests"));
    }

    #[test]
    fn three_figures_of_the_wake_up_are_one_row() {
        let svg = draw(&example(0, 0), 0);
        assert_eq!(svg.matches("wake-up on a shared CPU").count(), 1, "{svg}");
    }

    #[test]
    fn thick_part_goes_from_the_median_to_the_99th_percentile() {
        let mut picture = Picture::new(100.0, 100.0);
        let sample = Sample {
            least: 10,
            median: 100,
            p99: 1_000,
            most: 10_000,
        };
        draw_spread(&mut picture, 50.0, &(1, sample));
        let svg = picture.finish();
        let [from, to] = [position(100) - 1.0, position(1_000) + 1.0];
        let thick = format!(r#"<rect x="{from:.1}" y="46.0" width="{:.1}""#, to - from);
        assert!(svg.contains(&thick), "{thick}\n{svg}");
        assert!(svg.contains("Bulkhead: 10 to 10000, p50 100, p99 1000"));
    }
}
