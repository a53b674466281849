//! PCI host bridges of which partitions have single functions.

use super::{Source, range};
use crate::bridges::{Bridge, Function, Port};
use crate::devicetree::addresses::PciWindow;
use crate::range::AddressRange;

/// The field `bridges`.
pub(super) fn write(out: &mut Source, bridges: &[Bridge]) {
    out.only_with("pci");
    if bridges.is_empty() {
        return out.field("bridges", "&[]");
    }
    out.open("bridges: &[");
    for bridge in bridges {
        out.open("model::pci::Bridge {");
        out.field("path", &format!("{:?}", bridge.path));
        out.field("configuration", &range(&bridge.configuration));
        out.field("first_bus", &format!("{:#04x}", bridge.first_bus));
        out.list("ports", bridge.ports.iter().map(port));
        out.list("functions", bridge.functions.iter().map(function));
        out.close("},");
    }
    out.close("],");
}

fn port(port: &Port) -> String {
    let [primary, secondary, subordinate] = port.buses;
    format!(
        "model::pci::Port {{ place: {:#06x}, path: {:?}, primary: {primary:#04x}, secondary: {secondary:#04x}, subordinate: {subordinate:#04x}, \
         memory: {}, high: {}, separates: {}, transparent: {} }}",
        port.place,
        port.path,
        optional(port.memory),
        optional(port.high),
        port.separates,
        port.transparent
    )
}

fn function(one: &Function) -> String {
    let id = one.id.map_or("None".to_owned(), |(vendor, device)| {
        format!("Some(({vendor:#06x}, {device:#06x}))")
    });
    let on_bus = |place: PciWindow| AddressRange {
        base: place.bus,
        size: place.cpu.size,
    };
    format!(
        "model::pci::Function {{ place: {:#06x}, address: {:#04x}, path: {:?}, partition: model::PartitionId::new({}), id: {id}, window: {}, \
         high: {}, messages: {}, pin: {} }}",
        one.place,
        one.address,
        one.path,
        one.partition,
        window(on_bus(one.window)),
        optional(one.high.map(on_bus)),
        one.messages,
        one.pin
    )
}

fn optional(range: Option<AddressRange>) -> String {
    range.map_or("None".to_owned(), |range| {
        format!("Some({})", window(range))
    })
}

fn window(range: AddressRange) -> String {
    format!(
        "model::pci::Window {{ base: {:#x}, size: {:#x} }}",
        range.base, range.size
    )
}
