//! Static shared memory becomes channels; static event channels become their doorbells.

use super::domain::Domain;
use super::{ImportError, Source, owner};
use crate::devicetree::{NodeId, TreeError};
use crate::toml_text as text;

/// Shared memory between domains.
#[derive(Debug)]
pub(super) struct Channel {
    id: String,
    pub name: String,
    pub size: u64,
    pub address: Option<u64>,
    pub ends: Vec<End>,
}

/// A domain's end.
#[derive(Debug)]
pub(super) struct End {
    /// Index of the domain.
    pub domain: usize,
    /// Where the domain sees it.
    pub at: u64,
    pub doorbell: bool,
}

/// What a node says about its end.
struct Region {
    host: Option<u64>,
    guest: u64,
    size: u64,
}

pub(super) fn read(
    source: &mut Source<'_>,
    domains: &[Domain],
) -> Result<Vec<Channel>, ImportError> {
    let tree = source.tree;
    let mut channels: Vec<Channel> = Vec::new();
    let mut names = Vec::new();
    for (domain, node) in nodes(source, domains, "xen,domain-shared-memory-v1") {
        let id = tree
            .string(node, "xen,shm-id")
            .unwrap_or_else(|| tree.name(node));
        let Some(region) = region(source, node)? else {
            source.note(
                node,
                "`xen,shared-mem` has no address and size",
                "add the channel by hand",
            );
            continue;
        };
        let end = End {
            domain,
            at: region.guest,
            doorbell: false,
        };
        match channels.iter_mut().find(|channel| channel.id == id) {
            Some(channel) if channel.ends.iter().any(|end| end.domain == domain) => {
                source.note(
                    node,
                    "the domain has this region twice",
                    "a channel ends once in a partition: the first place is taken",
                );
            }
            Some(channel) => {
                if (channel.size, channel.address) != (region.size, region.host) {
                    source.note(
                        node,
                        "its size or address is not that of the other end",
                        "the first end's is taken",
                    );
                }
                channel.ends.push(end);
            }
            None => {
                let name = text::name(id, &names);
                names.push(name.clone());
                channels.push(Channel {
                    id: id.to_owned(),
                    name,
                    size: region.size,
                    address: region.host,
                    ends: vec![end],
                });
            }
        }
    }
    doorbells(source, domains, &mut channels)?;
    for channel in channels.iter().filter(|channel| channel.ends.len() < 2) {
        let found = format!("the shared memory {} belongs to one domain", channel.name);
        source.note(source.chosen, found, "a channel has at least two ends: give it as another region of `memory` if it is needed");
    }
    channels.retain(|channel| channel.ends.len() >= 2);
    Ok(channels)
}

/// Nodes of a kind below the domains, each with its domain's index.
fn nodes(source: &Source<'_>, domains: &[Domain], kind: &str) -> Vec<(usize, NodeId)> {
    let of_domain = |(index, domain): (usize, &Domain)| {
        let children = source.children(domain.node, &[kind]);
        children.into_iter().map(move |node| (index, node))
    };
    domains.iter().enumerate().flat_map(of_domain).collect()
}

/// `xen,shared-mem`: the host's address, which may be missing, the guest's, and the size.
fn region(source: &Source<'_>, node: NodeId) -> Result<Option<Region>, TreeError> {
    let Some(parent) = source.tree.parent(node) else {
        return Ok(None);
    };
    let [address, size] = source.widths(parent)?;
    let cells = source
        .tree
        .cells(node, "xen,shared-mem")?
        .unwrap_or_default();
    let with_host = cells.len() == address * 2 + size;
    let widths: &[usize] = if with_host {
        &[address, address, size]
    } else {
        &[address, size]
    };
    let numbers = source.numbers(node, "xen,shared-mem", widths)?;
    Ok(match numbers.as_slice() {
        [host, guest, size] if with_host => Some(Region {
            host: Some(*host),
            guest: *guest,
            size: *size,
        }),
        [guest, size] => Some(Region {
            host: None,
            guest: *guest,
            size: *size,
        }),
        _ => None,
    })
}

/// Gives doorbells to the channels between domains that an event channel connects.
fn doorbells(
    source: &mut Source<'_>,
    domains: &[Domain],
    channels: &mut [Channel],
) -> Result<(), TreeError> {
    for (domain, node) in nodes(source, domains, "xen,evtchn-v1") {
        let cells = source.tree.cells(node, "xen,evtchn")?.unwrap_or_default();
        for [_, remote] in cells.as_chunks::<2>().0 {
            let remote = source.tree.by_phandle(*remote);
            let other = remote.and_then(|remote| owner(source, domains, remote));
            let mut rung = false;
            for channel in channels.iter_mut() {
                let ends_in = |one| channel.ends.iter().any(|end| Some(end.domain) == one);
                if other != Some(domain) && ends_in(Some(domain)) && ends_in(other) {
                    rung = true;
                    let mine = |end: &&mut End| end.domain == domain || Some(end.domain) == other;
                    channel
                        .ends
                        .iter_mut()
                        .filter(mine)
                        .for_each(|end| end.doorbell = true);
                }
            }
            if !rung {
                source.note(
                    node,
                    "an event channel between domains that share no memory",
                    "add a channel of 4KiB between them and use its doorbell",
                );
            } else {
                source.note(node, "an event channel", "it is a doorbell of the channel here: the guest rings it as docs/channels.md says, not by a Xen hypercall");
            }
        }
    }
    Ok(())
}
