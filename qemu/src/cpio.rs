//! Writes the archive format of an initramfs: "newc" cpio (Linux `Documentation/driver-api/early-userspace/buffer-format.rst`).

/// An archive in the making. Everything belongs to root and dates from the epoch, so equal content gives equal bytes.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

/// File type bits of `st_mode`.
const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

impl Archive {
    /// Adds a directory. Parents must have been added before.
    pub fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// Adds a file with these permission bits.
    pub fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.entry(path, REGULAR | (permissions & 0o7777), (0, 0), content);
    }

    /// Adds a symbolic link at `path` to `target`.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.entry(path, SYMLINK | 0o777, (0, 0), target.as_bytes());
    }

    /// Adds a character device, readable and writable by root.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, CHARACTER_DEVICE | 0o600, (major, minor), &[]);
    }

    /// The archive with its trailer.
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.pad(512);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        let links = if mode & DIRECTORY != 0 { 2 } else { 1 };
        let fields = [
            self.inode,
            mode,
            0, // user
            0, // group
            links,
            0, // time of last change
            content.len() as u32,
            0, // device that holds the file
            0,
            device.0,
            device.1,
            path.len() as u32 + 1,
            0, // checksum, unused in this variant
        ];
        self.inode += 1;
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(content);
        self.pad(4);
    }

    fn pad(&mut self, alignment: usize) {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(alignment), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode and content of every entry, read by the rules of the format.
    fn read(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut at = 0;
        loop {
            assert_eq!(&archive[at..at + 6], b"070701");
            let field = |n: usize| {
                let text =
                    std::str::from_utf8(&archive[at + 6 + n * 8..at + 14 + n * 8]).expect("hex");
                u32::from_str_radix(text, 16).expect("hex")
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(archive[at + 110..at + 110 + name_size - 1].to_vec())
                .expect("name");
            if name == "TRAILER!!!" {
                return entries;
            }
            let data = (at + 110 + name_size).next_multiple_of(4);
            entries.push((name, mode, archive[data..data + size].to_vec()));
            at = (data + size).next_multiple_of(4);
        }
    }

    #[test]
    fn entries_are_read_back_with_type_and_content() {
        let mut archive = Archive::default();
        archive.directory("dev");
        archive.character_device("dev/console", 5, 1);
        archive.file("init", 0o755, b"#!/bin/sh\n");
        archive.symlink("bin/sh", "busybox");
        let entries = read(&archive.finish());
        assert_eq!(
            entries,
            [
                ("dev".to_owned(), 0o040_755, vec![]),
                ("dev/console".to_owned(), 0o020_600, vec![]),
                ("init".to_owned(), 0o100_755, b"#!/bin/sh\n".to_vec()),
                ("bin/sh".to_owned(), 0o120_777, b"busybox".to_vec()),
            ]
        );
    }

    #[test]
    fn empty_archive_is_only_its_trailer() {
        let bytes = Archive::default().finish();
        assert_eq!(bytes.len(), 512);
        assert!(read(&bytes).is_empty());
    }

    #[test]
    fn same_content_gives_same_bytes() {
        let build = || {
            let mut archive = Archive::default();
            archive.file("a", 0o644, b"x");
            archive.finish()
        };
        assert_eq!(build(), build());
    }
}
