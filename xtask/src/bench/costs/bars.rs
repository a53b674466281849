//! The outcome as bars on a logarithmic axis, ours and others'; a thin line goes from the least sample to the most.

use systems::costs::{CONTROLLERS, IMAGE_BYTES, Sample};

use super::outcome::{Line, Outcome};
use crate::picture::{Anchor, COLOURS, FAINT, INK, Picture};

pub(super) const WIDTH: f64 = 900.0;
pub(super) const LEFT: f64 = 250.0;
pub(super) const RIGHT: f64 = 840.0;
pub(super) const TOP: f64 = 70.0;
const BAR: f64 = 11.0;
const GAP: f64 = 14.0;

/// Decades of the axis: from 1 to 100,000,000 instructions.
const DECADES: i32 = 8;

/// Who is shown, in the order of their colours.
pub(super) const NAMES: [&str; 6] = ["bare", "Bulkhead", "Bao", "hvisor", "Xen", "Xen null"];

/// A bar: whose, how long, and from where to where its samples were.
struct Bar {
    of: usize,
    median: u64,
    range: Option<(u64, u64)>,
}

impl Bar {
    fn quoted(median: Option<u64>) -> Option<Self> {
        let range = None;
        median.map(|median| Self {
            of: 0,
            median,
            range,
        })
    }

    fn measured(sample: Option<Sample>) -> Option<Self> {
        sample.map(|sample| Self {
            of: 0,
            median: sample.median,
            range: Some((sample.least, sample.most)),
        })
    }
}

/// The bars of a row, for the controller with this index. What is quoted was measured with the first.
fn bars(line: &Line, controller: usize) -> Vec<Bar> {
    let cells = line.cells(controller);
    let quoted = |value: Option<u64>| Bar::quoted(value.filter(|_| controller == 0));
    let found = [
        Bar::measured(cells.bare),
        Bar::measured(cells.bulkhead),
        quoted(line.quoted.bao),
        quoted(line.quoted.hvisor),
        Bar::measured(cells.xen).or_else(|| quoted(line.quoted.xen)),
        Bar::measured(cells.xen_null).or_else(|| quoted(line.quoted.xen_null)),
    ];
    let whose = found.into_iter().enumerate();
    whose
        .filter_map(|(of, bar)| Some(Bar { of, ..bar? }))
        .collect()
}

/// Where a number of instructions is on the axis.
pub(super) fn position(value: u64) -> f64 {
    let decades = (value.max(1) as f64).log10() / f64::from(DECADES);
    LEFT + decades.min(1.0) * (RIGHT - LEFT)
}

/// Draws all rows that count instructions, for the controller with this index in [`CONTROLLERS`].
pub fn draw(outcome: &Outcome, controller: usize) -> String {
    let rows: Vec<(&Line, Vec<Bar>)> = outcome
        .rows
        .iter()
        .filter(|line| line.name != IMAGE_BYTES)
        .map(|line| (line, bars(line, controller)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let height = |bars: &[Bar]| bars.len() as f64 * BAR + GAP;
    let bottom = TOP + rows.iter().map(|(_, bars)| height(bars)).sum::<f64>();
    let mut picture = Picture::new(WIDTH, bottom + 40.0);
    let name = CONTROLLERS.get(controller).unwrap_or(&"");
    let title = format!("Instructions on QEMU's virt machine with {name}: fewer is better");
    picture.text([16.0, 24.0], 15.0, Anchor::Start, &title);
    legend(&mut picture, &[0, 1, 2, 3, 4, 5]);
    decades(&mut picture, bottom);
    let mut y = TOP;
    for (line, bars) in &rows {
        let middle = y + bars.len() as f64 * BAR / 2.0 + 4.0;
        picture.text([LEFT - 8.0, middle], 12.0, Anchor::End, &line.title);
        for bar in bars {
            draw_bar(&mut picture, y, bar);
            y += BAR;
        }
        y += GAP;
    }
    picture.finish()
}

/// Says which colour is whose, below the title.
pub(super) fn legend(picture: &mut Picture, shown: &[usize]) {
    for (place, of) in shown.iter().enumerate() {
        let x = LEFT + 96.0 * place as f64;
        let name = NAMES[*of];
        picture.rectangle([x, 38.0, 10.0, 10.0], COLOURS[order(*of)], name);
        picture.text([x + 15.0, 47.0], 12.0, Anchor::Start, name);
    }
}

/// The axis, down to `bottom`.
pub(super) fn decades(picture: &mut Picture, bottom: f64) {
    for decade in 0..=DECADES {
        let value = 10u64.pow(decade.unsigned_abs());
        let x = position(value);
        picture.line([x, TOP - 8.0], [x, bottom], FAINT, 1.0, false);
        let label = value.to_string();
        picture.text([x, bottom + 18.0], 12.0, Anchor::Middle, &label);
    }
}

/// The colour of who is shown: ours is the first.
pub(super) const fn order(of: usize) -> usize {
    match of {
        0 => 5,
        of => of - 1,
    }
}

fn draw_bar(picture: &mut Picture, y: f64, bar: &Bar) {
    let end = position(bar.median);
    let title = format!("{}: {}", NAMES[bar.of], bar.median);
    let shape = [LEFT, y, (end - LEFT).max(1.0), BAR - 2.0];
    picture.rectangle(shape, COLOURS[order(bar.of)], &title);
    let mut text = end;
    if let Some((least, most)) = bar.range.filter(|(least, most)| least < most) {
        let y = y + BAR / 2.0 - 1.0;
        picture.line([position(least), y], [position(most), y], INK, 1.0, false);
        text = text.max(position(most));
    }
    let label = bar.median.to_string();
    picture.text([text + 4.0, y + BAR - 2.5], 10.0, Anchor::Start, &label);
}

#[cfg(test)]
mod tests {
    use super::super::outcome::example;
    use super::*;

    #[test]
    fn each_row_that_was_measured_has_its_name_and_bars() {
        let svg = draw(&example(0, 0), 0);
        assert!(svg.contains("PSCI_VERSION round trip"));
        assert!(svg.contains("<title>Bao: 194</title>"));
        assert!(!svg.contains("image without guests"));
    }

    #[test]
    fn row_without_figures_is_left_out() {
        let svg = draw(&example(0, 0), 1);
        assert!(!svg.contains("PSCI_VERSION"));
        assert!(svg.contains("wake-up on a shared CPU, p50"));
    }

    #[test]
    fn ten_times_as_much_is_one_decade_longer() {
        let decade = (RIGHT - LEFT) / f64::from(DECADES);
        assert!((position(600) - position(60) - decade).abs() < 1e-9);
        assert!(position(u64::MAX) <= RIGHT);
    }
}
