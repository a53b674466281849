//! Channels as a graph: who can tell whom something.

use super::super::facts::{ChannelEntry, Report};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::units::{count, size};
use super::axis::Shape;
use super::shapes::{Anchor, Look, Rect, WIDTH, drawing, piece, text};

const PARTITION_WIDTH: u64 = 140;
const PARTITION_HEIGHT: u64 = 44;
const CHANNEL_X: u64 = 255;
const CHANNEL_WIDTH: u64 = 350;
const HEAD: u64 = 26;
const LINE: u64 = 24;
const GAP: u64 = 26;

/// A partition in the drawing: those with an even index stand left.
struct Node<'a> {
    name: &'a str,
    left: bool,
    /// Its middle.
    y: u64,
}

/// Draws the channels between the partitions that have ends.
pub(in crate::report) fn channel_graph(out: &mut Markup, report: &Report, owners: &Owners<'_>) {
    let channels = &report.channels;
    let height_of = |channel: &ChannelEntry| HEAD + LINE * channel.ends.len() as u64 + 8;
    let middle: u64 = channels
        .iter()
        .map(|channel| height_of(channel) + GAP)
        .sum();
    let nodes = nodes(report, middle);
    let sides = nodes.len().div_ceil(2) as u64 * (PARTITION_HEIGHT + GAP);
    let title = "Channels between partitions";
    let description = format!(
        "{}; an arrow towards the channel means that the partition may write, away from it that it may read.",
        count(channels.len(), "channel")
    );
    drawing(out, middle.max(sides) + 34, title, &description, |out| {
        let mut y = 6;
        for channel in channels {
            let rect = Rect {
                x: CHANNEL_X,
                y,
                width: CHANNEL_WIDTH,
                height: height_of(channel),
            };
            draw_channel(out, channel, rect, &nodes);
            y += rect.height + GAP;
        }
        for node in &nodes {
            draw_partition(out, node, owners);
        }
        let legend = "▸ the end of an arrow: who can read what the other side writes   ·   ◉ a doorbell rings there";
        text(
            out,
            (CHANNEL_X + CHANNEL_WIDTH / 2, middle.max(sides) + 24),
            Anchor::Middle,
            "legend",
            legend,
        );
    });
}

/// The partitions with an end, spread over both sides.
fn nodes(report: &Report, height: u64) -> Vec<Node<'_>> {
    let has_end = |name: &str| {
        let mut ends = report.channels.iter().flat_map(|channel| &channel.ends);
        ends.any(|end| end.partition == name)
    };
    let names: Vec<&str> = report
        .partitions
        .iter()
        .map(|one| one.name.as_str())
        .filter(|name| has_end(name))
        .collect();
    let on_left = names.len().div_ceil(2) as u64;
    let on_right = names.len() as u64 - on_left;
    let node = |(index, name)| {
        let left = index % 2 == 0;
        let many = if left { on_left } else { on_right };
        let step = (height / many.max(1)).max(PARTITION_HEIGHT + GAP);
        Node {
            name,
            left,
            y: step * (index as u64 / 2) + step / 2,
        }
    };
    names.into_iter().enumerate().map(node).collect()
}

fn draw_channel(out: &mut Markup, channel: &ChannelEntry, rect: Rect, nodes: &[Node<'_>]) {
    let look = Look {
        class: "own-channel".to_owned(),
        pattern: None,
        shape: Shape::True,
        title: format!("channel {}", channel.name),
    };
    piece(out, rect, &look);
    let title = format!("{} · {}", channel.name, size(channel.size));
    let middle = rect.x + rect.width / 2;
    text(out, (middle, rect.y + 17), Anchor::Middle, "name", title);
    for (index, end) in channel.ends.iter().enumerate() {
        let y = rect.y + HEAD + LINE * index as u64 + LINE / 2;
        let Some(node) = nodes.iter().find(|node| node.name == end.partition) else {
            continue;
        };
        let doorbell = match (end.doorbell, end.doorbell_intid) {
            (false, _) => String::new(),
            (true, None) => " · doorbell ◉".to_owned(),
            (true, Some(intid)) => format!(" · doorbell ◉ INTID {intid}"),
        };
        let label = format!("{}: {}{doorbell}", end.partition, end.access);
        let (edge, anchor, inner) = if node.left {
            (rect.x, Anchor::Start, rect.x + 16)
        } else {
            (rect.x + rect.width, Anchor::End, rect.x + rect.width - 16)
        };
        text(out, (inner, y + 4), anchor, "what", label);
        let partition = if node.left {
            PARTITION_WIDTH
        } else {
            WIDTH - PARTITION_WIDTH
        };
        arrow(out, (partition, node.y), (edge, y), end.writes());
    }
}

/// A curve between a partition and its end of a channel: every end may read, a writer's has a head at the channel, too.
fn arrow(out: &mut Markup, (x1, y1): (u64, u64), (x2, y2): (u64, u64), writes: bool) {
    let middle = x1.midpoint(x2);
    let path = format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}");
    out.empty("path", &[("class", &"edge"), ("d", &path)]);
    head(out, (x1, y1), x1 < x2);
    if writes {
        head(out, (x2, y2), x1 > x2);
    }
}

/// A head that points left or right.
fn head(out: &mut Markup, (x, y): (u64, u64), left: bool) {
    let back = if left { x + 10 } else { x.saturating_sub(10) };
    let path = format!("M{x} {y}L{back} {}V{}Z", y.saturating_sub(5), y + 5);
    out.empty("path", &[("class", &"arrow"), ("d", &path)]);
}

fn draw_partition(out: &mut Markup, node: &Node<'_>, owners: &Owners<'_>) {
    let rect = Rect {
        x: if node.left {
            0
        } else {
            WIDTH - PARTITION_WIDTH
        },
        y: node.y.saturating_sub(PARTITION_HEIGHT / 2),
        width: PARTITION_WIDTH,
        height: PARTITION_HEIGHT,
    };
    let look = Look {
        class: owners.partition_class(node.name),
        pattern: owners.partition_pattern(node.name),
        shape: Shape::True,
        title: format!("partition {}", node.name),
    };
    piece(out, rect, &look);
    text(
        out,
        (rect.x + rect.width / 2, node.y + 4),
        Anchor::Middle,
        "name",
        node.name,
    );
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn every_end_is_an_edge_and_only_writers_have_a_second_head() {
        let report = sample::report();
        let mut out = Markup::default();
        channel_graph(&mut out, &report, &Owners::new(&report));
        let text = out.finish();
        let ends = report.channels.iter().flat_map(|channel| &channel.ends);
        let (mut all, mut writers) = (0, 0);
        for end in ends {
            all += 1;
            writers += usize::from(end.writes());
        }
        assert_eq!(text.matches("class=\"edge\"").count(), all);
        assert_eq!(text.matches("class=\"arrow\"").count(), all + writers);
    }

    #[test]
    fn partition_without_an_end_is_not_drawn() {
        let report = sample::report();
        assert!(nodes(&report, 500).iter().all(|node| node.name != "logger"));
    }
}
