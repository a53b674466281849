//! The report as one page that needs nothing else: no script, no other file. It reads well on a screen and on paper.

mod channels;
mod devices;
mod memory;
mod overview;
mod partition;
mod table;
mod time;

use super::facts::Report;
use super::markup::Markup;
use super::owners::Owners;

const STYLE: &str = include_str!("style.css");

/// The chapters behind the overview: anchor and title.
const CHAPTERS: [(&str, &str); 7] = [
    ("memory", "Memory"),
    ("time", "CPUs and time"),
    ("interrupts", "Interrupts"),
    ("streams", "DMA streams"),
    ("channels", "Channels"),
    ("devices", "Devices and their providers"),
    ("partitions", "Partitions"),
];

impl Report {
    /// The report as one self-contained HTML page, which is well-formed XML, too.
    pub fn to_html(&self) -> String {
        let mut out = Markup::default();
        out.constant("<!DOCTYPE html>\n");
        let attributes: super::markup::Attributes<'_> =
            &[("lang", &"en"), ("xmlns", &"http://www.w3.org/1999/xhtml")];
        out.element("html", attributes, |out| {
            out.element("head", &[], |out| head(out, self));
            out.element("body", &[], |out| body(out, self));
        });
        out.constant("\n");
        out.finish()
    }
}

fn head(out: &mut Markup, report: &Report) {
    out.empty("meta", &[("charset", &"utf-8")]);
    out.empty(
        "meta",
        &[
            ("name", &"viewport"),
            ("content", &"width=device-width, initial-scale=1"),
        ],
    );
    out.empty(
        "meta",
        &[("name", &"color-scheme"), ("content", &"light dark")],
    );
    out.leaf(
        "title",
        &[],
        format_args!("{} on {}: who owns what", report.system, report.board),
    );
    out.element("style", &[], |out| out.constant(STYLE));
}

fn body(out: &mut Markup, report: &Report) {
    let owners = Owners::new(report);
    Owners::definitions(out);
    out.element("main", &[], |out| {
        overview::title(out, report);
        overview::verdict(out, report);
        overview::risks(out, report);
        overview::warnings(out, report);
        contents(out, report);
        chapter(out, 0, |out| memory::chapter(out, report, &owners));
        chapter(out, 1, |out| time::chapter(out, report, &owners));
        chapter(out, 2, |out| devices::interrupts(out, report));
        chapter(out, 3, |out| devices::streams(out, report));
        chapter(out, 4, |out| channels::chapter(out, report, &owners));
        chapter(out, 5, |out| devices::ownership(out, report));
        chapter(out, 6, |out| {
            for (index, one) in report.partitions.iter().enumerate() {
                partition::section(out, index, one, &owners);
            }
        });
    });
    out.element("footer", &[], |out| {
        out.text("Written by the Bulkhead configuration compiler from the system file and the board's device tree. The same inputs give the same report. ");
        out.leaf("code", &[], "report.json");
        out.text(" beside this page holds the same facts for programs.");
    });
}

fn contents(out: &mut Markup, report: &Report) {
    out.element("nav", &[("aria-label", &"Contents")], |out| {
        out.element("ol", &[], |out| {
            for (anchor, title) in CHAPTERS {
                out.element("li", &[], |out| {
                    out.leaf("a", &[("href", &format_args!("#{anchor}"))], title);
                    if anchor == "partitions" {
                        for (index, one) in report.partitions.iter().enumerate() {
                            out.text(if index == 0 { ": " } else { ", " });
                            out.leaf(
                                "a",
                                &[("href", &format_args!("#partition-{index}"))],
                                &one.name,
                            );
                        }
                    }
                });
            }
        });
    });
}

fn chapter(out: &mut Markup, index: usize, contents: impl FnOnce(&mut Markup)) {
    let Some((anchor, title)) = CHAPTERS.get(index) else {
        return;
    };
    out.element("section", &[("id", anchor), ("class", &"chapter")], |out| {
        out.leaf("h2", &[], format_args!("{}  {title}", index + 1));
        contents(out);
    });
}

/// A paragraph that says that there is nothing to list.
fn nothing(out: &mut Markup, text: &str) {
    out.leaf("p", &[("class", &"nothing")], text);
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    /// Parses the page as XML: every element closed, every reference known.
    fn parsed(page: &str) -> roxmltree::Document<'_> {
        let text = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        roxmltree::Document::parse(text).unwrap()
    }

    #[test]
    fn page_of_the_sample_is_well_formed() {
        let page = sample::report().to_html();
        let document = parsed(&page);
        let count = |name: &str| {
            document
                .descendants()
                .filter(|node| node.has_tag_name(("http://www.w3.org/1999/xhtml", name)))
                .count()
        };
        assert_eq!((count("html"), count("main"), count("h1")), (1, 1, 1));
        assert!(count("table") > 10);
    }

    #[test]
    fn page_refers_to_nothing_outside() {
        let page = sample::report().to_html();
        let document = parsed(&page);
        for node in document.descendants() {
            assert!(
                !["script", "link", "img", "iframe", "object"].contains(&node.tag_name().name())
            );
            for attribute in node.attributes() {
                let outside =
                    attribute.value().contains("//") || attribute.name().starts_with("on");
                assert!(!outside, "{attribute:?}");
            }
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn every_link_has_its_target_and_no_id_is_there_twice() {
        let page = sample::report().to_html();
        let document = parsed(&page);
        let mut ids: Vec<&str> = document
            .descendants()
            .filter_map(|node| node.attribute("id"))
            .collect();
        let links = document
            .descendants()
            .filter_map(|node| node.attribute("href"));
        for link in links {
            assert!(ids.contains(&link.trim_start_matches('#')), "{link}");
        }
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn drawings_have_titles_and_tables_have_captions_and_heads() {
        let page = sample::report().to_html();
        let document = parsed(&page);
        for node in document.descendants() {
            let has = |name: &str| {
                node.descendants()
                    .any(|inner| inner.tag_name().name() == name)
            };
            match node.tag_name().name() {
                "svg" => assert!(has("title") || node.attribute("aria-hidden") == Some("true")),
                "table" => assert!(has("caption") && has("thead")),
                "th" => assert!(node.attribute("scope").is_some()),
                _ => {}
            }
        }
    }

    #[test]
    fn hostile_names_stay_texts() {
        const EVIL: &str = "</title></style><script>alert(1)</script>\u{202e}\0\"'&";
        let mut report = sample::report();
        for text in [
            &mut report.system,
            &mut report.board,
            &mut report.board_description,
            &mut report.console,
        ] {
            *text = EVIL.to_owned();
        }
        report.description = Some(EVIL.to_owned());
        for entry in &mut report.memory_map {
            entry.what = EVIL.to_owned();
        }
        for pool in &mut report.pools {
            pool.admission.push(EVIL.to_owned());
        }
        for partition in &mut report.partitions {
            partition.command_line = Some(EVIL.to_owned());
            partition.tree.source = EVIL.to_owned();
            partition.on_fault = EVIL.to_owned();
            for device in &mut partition.devices {
                device.path = EVIL.to_owned();
                device.compatible = EVIL.to_owned();
                device.name = EVIL.to_owned();
                for provider in &mut device.providers {
                    provider.provider = EVIL.to_owned();
                    provider.detail = EVIL.to_owned();
                }
            }
            for mapping in &mut partition.mappings {
                mapping.what = EVIL.to_owned();
            }
        }
        for stream in &mut report.streams {
            stream.iommu = EVIL.to_owned();
            stream.device = EVIL.to_owned();
        }
        for interrupt in &mut report.interrupts {
            interrupt.source = EVIL.to_owned();
        }
        let page = report.to_html();
        let document = parsed(&page);
        assert!(
            document
                .descendants()
                .all(|node| node.tag_name().name() != "script")
        );
        assert!(!page.contains('\u{202e}') && !page.contains('\0'));
    }

    #[test]
    fn report_of_nothing_is_still_a_page() {
        let mut report = sample::report();
        report.risks.clear();
        report.memory_map.clear();
        report.memory.clear();
        report.pools.clear();
        report.cpus.clear();
        report.interrupts.clear();
        report.streams.clear();
        report.channels.clear();
        report.partitions.clear();
        report.warnings = crate::Diagnostics::default();
        parsed(&report.to_html());
    }

    #[test]
    fn same_report_gives_the_same_page() {
        assert_eq!(sample::report().to_html(), sample::report().to_html());
    }
}
