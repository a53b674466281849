//! Writes the TOML of a test's system, so that a matrix needs no file per cell.

use std::fmt::Write;

/// The lines of a partition that owns QEMU's PCI host bridge.
const BRIDGE: &str = "dma = \"trusted\"\ndevices = [\"/pcie@10000000\"]\n";

/// The feature of an image that records events.
pub const TRACE: &str = "trace";

/// A system in the making. Partitions get CPUs from 0 upwards, each its own pool.
#[derive(Clone, Debug)]
pub struct SystemFile {
    name: String,
    board: String,
    /// Names of overlays of the board's tree, as TOML strings.
    overlays: Vec<String>,
    hypervisor: String,
    partitions: String,
    channels: String,
    next_cpu: u32,
    features: Vec<&'static str>,
    /// Where guests see their memory, when the board's own place does not suit them.
    ram: Option<String>,
}

impl SystemFile {
    /// A system without partitions on a board.
    pub fn new(name: &str, board: &str) -> Self {
        Self {
            name: name.to_owned(),
            board: board.to_owned(),
            overlays: Vec::new(),
            hypervisor: String::new(),
            partitions: String::new(),
            channels: String::new(),
            next_cpu: 0,
            features: Vec::new(),
            ram: None,
        }
    }

    /// From now on partitions see their memory at this address: Rust guests are linked for where QEMU's `virt` machine has it.
    pub fn ram_at(mut self, address: &str) -> Self {
        self.ram = Some(address.to_owned());
        self
    }

    /// Lays a file beside the system's over the board's tree.
    pub fn overlay(mut self, file: &str) -> Self {
        self.overlays.push(format!("\"{file}\""));
        self
    }

    /// Has the image built with a feature that no system file asks for.
    pub fn feature(mut self, feature: &'static str) -> Self {
        self.features.push(feature);
        self
    }

    /// Those features.
    pub fn features(&self) -> &[&'static str] {
        &self.features
    }

    /// Memory of a partition, as a TOML value.
    fn memory(&self, size: &str) -> String {
        match &self.ram {
            None => format!("\"{size}\""),
            Some(address) => format!("{{ size = \"{size}\", at = \"{address}\" }}"),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What happens when every partition has stopped: `power-off`, `reset` or `halt`.
    pub fn end(self, end: &str) -> Self {
        self.hypervisor(&format!("end = \"{end}\""))
    }

    /// Turns a switch of `[hypervisor]` on, for example `efi`.
    pub fn switch(self, name: &str) -> Self {
        self.hypervisor(&format!("{name} = true"))
    }

    fn hypervisor(mut self, line: &str) -> Self {
        if self.hypervisor.is_empty() {
            self.hypervisor.push_str("\n[hypervisor]\n");
        }
        self.hypervisor.push_str(line);
        self.hypervisor.push('\n');
        self
    }

    /// Adds a Linux partition with a Debian kernel and BusyBox.
    pub fn linux(self, name: &str, kernel: &str, vcpus: u32) -> Self {
        let image = format!(
            "{{ kernel = \"debian:{kernel}\", initrd = \"busybox\", cmdline = \"console=ttyAMA0\" }}"
        );
        self.partition(name, vcpus, "256MiB", &image, "")
    }

    /// Adds a partition with a Rust guest.
    pub fn guest(self, name: &str, guest: &str, vcpus: u32) -> Self {
        self.partition(name, vcpus, "16MiB", &format!("\"guest:{guest}\""), "")
    }

    /// Adds a partition. `image` is the TOML value; `more` is further TOML lines of the partition.
    pub fn partition(
        mut self,
        name: &str,
        vcpus: u32,
        memory: &str,
        image: &str,
        more: &str,
    ) -> Self {
        let cpus: Vec<String> = (self.next_cpu..self.next_cpu + vcpus)
            .map(|cpu| cpu.to_string())
            .collect();
        self.next_cpu += vcpus;
        let memory = self.memory(memory);
        // Writing to a String cannot fail.
        let _ = write!(
            self.partitions,
            "\n[pools.{name}]\ncpus = [{}]\npolicy = \"dedicated\"\n\n[[partition]]\nname = \"{name}\"\npool = \"{name}\"\nvcpus = {vcpus}\nmemory = {memory}\nimage = {image}\nconsole = \"virtual\"\n{more}",
            cpus.join(", ")
        );
        self
    }

    /// Adds a partition that sees its memory where it lies and owns QEMU's PCI host bridge. `place`: where that is.
    pub fn partition_with_bridge(
        self,
        name: &str,
        vcpus: u32,
        size: &str,
        place: Option<&str>,
        image: &str,
    ) -> Self {
        self.placed(name, vcpus, size, place, image, BRIDGE)
    }

    /// Adds a partition with one virtual CPU that sees its memory where it lies.
    pub fn partition_by_identity(self, name: &str, size: &str, image: &str, more: &str) -> Self {
        self.placed(name, 1, size, None, image, more)
    }

    fn placed(
        self,
        name: &str,
        vcpus: u32,
        size: &str,
        place: Option<&str>,
        image: &str,
        more: &str,
    ) -> Self {
        let mut system = self.partition(name, vcpus, size, image, more);
        let place = place.map_or(String::new(), |at| format!(", address = \"{at}\""));
        system.partitions = system.partitions.replace(
            &format!("memory = \"{size}\""),
            &format!("memory = {{ size = \"{size}\", identity = true{place} }}"),
        );
        system
    }

    /// Adds a partition of 256 MiB with one virtual CPU and a console other than the virtual one. `image` and `console` are TOML values.
    pub fn partition_with_console(self, name: &str, image: &str, console: &str) -> Self {
        let mut system = self.partition(name, 1, "256MiB", image, "");
        system.partitions = system
            .partitions
            .replace("console = \"virtual\"", &format!("console = {console}"));
        system
    }

    /// Adds a partition with a Rust guest whose memory lies at a physical address.
    pub fn guest_at(self, name: &str, guest: &str, address: &str) -> Self {
        let mut system = self.guest(name, guest, 1);
        let (before, own) = system.partitions.split_at(
            system
                .partitions
                .rfind("memory = ")
                .unwrap_or(system.partitions.len()),
        );
        let placed = format!("memory = {{ size = \"16MiB\", address = \"{address}\" }}");
        system.partitions = format!("{before}{}", own.replace("memory = \"16MiB\"", &placed));
        system
    }

    /// Adds a pool of CPUs that partitions share. `policy` is the policy and what else the pool says, as TOML lines.
    pub fn pool(mut self, name: &str, cpus: &[u32], policy: &str) -> Self {
        self.next_cpu = self
            .next_cpu
            .max(cpus.iter().max().map_or(0, |last| last + 1));
        // Writing to a String cannot fail.
        let _ = write!(
            self.partitions,
            "\n[pools.{name}]\ncpus = {cpus:?}\npolicy = {policy}\n"
        );
        self
    }

    /// Adds a partition with a Rust guest in a pool. `more` is further TOML lines, among them when it runs.
    pub fn guest_in(self, pool: &str, name: &str, guest: &str, vcpus: u32, more: &str) -> Self {
        let image = format!("\"guest:{guest}\"");
        self.partition_in(pool, name, vcpus, "16MiB", &image, more)
    }

    /// Adds a Linux partition in a pool. `more` as for [`guest_in`](Self::guest_in).
    pub fn linux_in(self, pool: &str, name: &str, kernel: &str, vcpus: u32, more: &str) -> Self {
        let image = format!(
            "{{ kernel = \"debian:{kernel}\", initrd = \"busybox\", cmdline = \"console=ttyAMA0\" }}"
        );
        self.partition_in(pool, name, vcpus, "256MiB", &image, more)
    }

    /// Adds a partition in a pool. `image` and `more` as for [`partition`](Self::partition).
    pub fn partition_in(
        mut self,
        pool: &str,
        name: &str,
        vcpus: u32,
        memory: &str,
        image: &str,
        more: &str,
    ) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(
            self.partitions,
            "\n[[partition]]\nname = \"{name}\"\npool = \"{pool}\"\nvcpus = {vcpus}\nmemory = \"{memory}\"\nimage = {image}\nconsole = \"virtual\"\n{more}",
        );
        self
    }

    /// [`partition_with_bridge`](Self::partition_with_bridge) in a pool, with `memory` as a TOML value. `more` as for [`guest_in`](Self::guest_in).
    pub fn partition_with_bridge_in(
        mut self,
        pool: &str,
        name: &str,
        vcpus: u32,
        memory: &str,
        image: &str,
        more: &str,
    ) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(
            self.partitions,
            "\n[[partition]]\nname = \"{name}\"\npool = \"{pool}\"\nvcpus = {vcpus}\nmemory = {memory}\nimage = {image}\nconsole = \"virtual\"\n{BRIDGE}{more}",
        );
        self
    }

    /// Adds a channel. `ends` are TOML tables, one for each end.
    pub fn channel(mut self, name: &str, size: &str, ends: &[&str]) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(
            self.channels,
            "\n[[channel]]\nname = \"{name}\"\nsize = \"{size}\"\nends = [{}]\n",
            ends.join(", ")
        );
        self
    }

    /// Adds a channel that every end sees as Device memory.
    pub fn uncached_channel(self, name: &str, size: &str, ends: &[&str]) -> Self {
        let mut system = self.channel(name, size, ends);
        system.channels.push_str("uncached = true\n");
        system
    }

    /// The TOML text.
    pub fn text(&self) -> String {
        let overlays = match self.overlays.is_empty() {
            true => String::new(),
            false => format!("overlays = [{}]\n", self.overlays.join(", ")),
        };
        format!(
            "[system]\nname = \"{}\"\nboard = \"{}\"\n{overlays}{}{}{}",
            self.name, self.board, self.hypervisor, self.partitions, self.channels
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_get_cpus_one_after_the_other() {
        let text = SystemFile::new("two", "qemu-virt-gicv3")
            .linux("a", "linux-image-cloud-arm64", 2)
            .guest("b", "hello", 1)
            .text();
        assert!(text.contains("[pools.a]\ncpus = [0, 1]\n"), "{text}");
        assert!(text.contains("[pools.b]\ncpus = [2]\n"), "{text}");
        assert!(text.contains("image = \"guest:hello\"\n"), "{text}");
    }

    #[test]
    fn only_the_guest_that_asks_for_a_place_gets_it() {
        let text = SystemFile::new("x", "b")
            .guest("a", "hello", 1)
            .guest_at("v", "dma", "0x60000000")
            .text();
        assert_eq!(text.matches("memory = \"16MiB\"").count(), 1);
        let placed = "vcpus = 1\nmemory = { size = \"16MiB\", address = \"0x60000000\" }\n";
        assert_eq!(text.matches(placed).count(), 1, "{text}");
    }

    #[test]
    fn partitions_see_their_memory_where_the_system_says() {
        let text = SystemFile::new("x", "b")
            .ram_at("0x40000000")
            .guest("a", "hello", 1)
            .text();
        let placed = "memory = { size = \"16MiB\", at = \"0x40000000\" }\n";
        assert!(text.contains(placed), "{text}");
    }

    #[test]
    fn channel_stands_behind_all_partitions() {
        let text = SystemFile::new("x", "b")
            .channel(
                "c",
                "4KiB",
                &["{ partition = \"a\" }", "{ partition = \"d\" }"],
            )
            .guest("a", "channel", 1)
            .guest("d", "channel", 1)
            .text();
        let channel = "\n\n[[channel]]\nname = \"c\"\nsize = \"4KiB\"\nends = [{ partition = \"a\" }, { partition = \"d\" }]\n";
        assert!(text.ends_with(channel), "{text}");
    }

    #[test]
    fn end_state_is_a_section_of_its_own() {
        let text = SystemFile::new("x", "b")
            .end("halt")
            .guest("a", "hello", 1)
            .text();
        assert!(text.starts_with("[system]\nname = \"x\"\nboard = \"b\"\n\n[hypervisor]\nend = \"halt\"\n\n[pools.a]\n"), "{text}");
    }
}
