//! The root file system of the Linux guests: a static BusyBox, an init that starts a shell on the console, and `interrupt-stress`.

use crate::cpio::Archive;

/// What init prints when the shell is about to start; the number of CPUs and ` CPUs` follow.
pub const BANNER: &str = "bulkhead-guest: shell ready on";

/// The program that init runs before the shell, where the archive has it.
pub const START: &str = "at-start";

/// Kernel command lines stay as the system file has them, so init needs no parameter of its own. The serial port gets a window size
/// because the shell otherwise asks the terminal for it and takes what is typed meanwhile for the answer.
const INIT: &str = "#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s
stty rows 24 cols 80
export HOME=/root TERM=vt100
for module in /modules/*.ko; do
    [ -e $module ] && insmod $module $(cat $module.parameters)
done
cd /root
[ ! -e /bin/START ] || START
echo \"BANNER $(nproc) CPUs\"
while :; do
    setsid cttyhack sh
done
";

/// A program that makes interrupts of every kind and counts them.
const INTERRUPT_STRESS: &str = include_str!("initramfs/interrupt-stress");

/// A kernel module.
#[derive(Clone, Debug)]
pub struct Module {
    /// As the kernel loads it.
    pub bytes: Vec<u8>,
    /// What `insmod` is given with it: `name=value`, or nothing.
    pub parameters: &'static str,
}

/// What is beside BusyBox.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contents<'a> {
    /// Kernel modules, loaded in their order before the shell starts.
    pub modules: &'a [Module],
    /// Programs and scripts, by their names. Init runs [`START`] before the shell.
    pub programs: &'a [(String, Vec<u8>)],
    /// Shared libraries, by their names.
    pub libraries: &'a [(String, Vec<u8>)],
}

/// Builds the initramfs around a static BusyBox.
pub fn build(busybox: &[u8], contents: Contents<'_>) -> Vec<u8> {
    let mut archive = Archive::default();
    for directory in [
        "bin", "sbin", "lib", "usr", "usr/bin", "usr/sbin", "dev", "proc", "sys", "tmp", "root",
        "etc", "modules",
    ] {
        archive.directory(directory);
    }
    // The kernel opens it for init before anything is mounted.
    archive.character_device("dev/console", 5, 1);
    archive.file("bin/busybox", 0o755, busybox);
    for applet in ["sh", "mount"] {
        archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    for (number, module) in contents.modules.iter().enumerate() {
        let name = format!("modules/{number}.ko");
        archive.file(&name, 0o644, &module.bytes);
        let parameters = module.parameters.as_bytes();
        archive.file(&format!("{name}.parameters"), 0o644, parameters);
    }
    for (name, program) in contents.programs {
        archive.file(&format!("bin/{name}"), 0o755, program);
    }
    for (name, library) in contents.libraries {
        archive.file(&format!("lib/{name}"), 0o755, library);
    }
    archive.file("bin/interrupt-stress", 0o755, INTERRUPT_STRESS.as_bytes());
    let init = INIT.replace("BANNER", BANNER).replace("START", START);
    archive.file("init", 0o755, init.as_bytes());
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initramfs_holds_busybox_and_an_init_with_the_banner() {
        let modules = [("first", ""), ("second", "of_id=x")].map(|(bytes, parameters)| Module {
            bytes: bytes.into(),
            parameters,
        });
        let contents = Contents {
            modules: &modules,
            programs: &[("hackbench".to_owned(), b"ELF of a program".to_vec())],
            libraries: &[("libc.so.6".to_owned(), b"ELF of a library".to_vec())],
        };
        let bytes = build(b"ELF of BusyBox", contents);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("modules/1.ko.parameters") && text.contains("of_id=x"));
        assert!(text.contains("modules/1.ko"));
        assert!(text.contains("bin/hackbench") && text.contains("ELF of a program"));
        assert!(text.contains("lib/libc.so.6") && text.contains("ELF of a library"));
        assert!(text.contains("ELF of BusyBox"));
        assert!(text.contains("[ ! -e /bin/at-start ] || at-start"));
        assert!(text.contains("echo \"bulkhead-guest: shell ready on $(nproc) CPUs\""));
    }
}
