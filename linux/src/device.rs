//! What the kernel says of a UIO device (Linux, Documentation/driver-api/uio-howto.rst, "Sysfs files").

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the kernel lists UIO devices.
pub const CLASS: &str = "/sys/class/uio";

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No device of that name.
    #[error(
        "Linux has no UIO device `{0}`: is uio_pdrv_genirq loaded with of_id=bulkhead,channel-uncached, and is the channel `uncached`?"
    )]
    NotFound(String),
    /// A file of it cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// A file of it holds something else than expected.
    #[error("{0} does not hold {1}")]
    Unexpected(PathBuf, &'static str),
}

/// A UIO device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its folder below [`CLASS`].
    folder: PathBuf,
}

impl Device {
    /// The device whose node in the device tree has this name, without the address, which only some kernels leave out.
    ///
    /// # Errors
    /// There is none.
    pub fn find(class: &Path, name: &str) -> Result<Self, DeviceError> {
        let folders = fs::read_dir(class).into_iter().flatten().flatten();
        let mut folders = folders.map(|entry| entry.path());
        let is_it = |folder: &PathBuf| {
            let found = fs::read_to_string(folder.join("name"));
            found.is_ok_and(|found| found.trim_end().split('@').next() == Some(name))
        };
        let folder = folders.find(is_it);
        let folder = folder.ok_or_else(|| DeviceError::NotFound(name.to_owned()))?;
        Ok(Self { folder })
    }

    /// The file by which it is mapped, and by which its interrupt is awaited.
    pub fn node(&self) -> PathBuf {
        let number = self.folder.file_name().unwrap_or_default();
        Path::new("/dev").join(number)
    }

    /// Size in bytes of a range of its `reg`; `None` when it has no such range.
    ///
    /// # Errors
    /// The kernel says nothing that makes sense.
    pub fn size(&self, range: usize) -> Result<Option<usize>, DeviceError> {
        let folder = self.folder.join(format!("maps/map{range}"));
        if !folder.is_dir() {
            return Ok(None);
        }
        let path = folder.join("size");
        let text = read(&path)?;
        let text = String::from_utf8_lossy(&text);
        let digits = text.trim_end().strip_prefix("0x");
        let size = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        size.filter(|size| *size > 0)
            .map(Some)
            .ok_or(DeviceError::Unexpected(path, "a size"))
    }

    /// A property of its node that is one cell.
    ///
    /// # Errors
    /// It has none of that name and size.
    pub fn cell(&self, property: &str) -> Result<u32, DeviceError> {
        let path = self.property_at(property);
        let bytes = read(&path)?;
        let bytes = <[u8; 4]>::try_from(bytes);
        let bytes = bytes.map_err(|_| DeviceError::Unexpected(path, "one cell"))?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A property of its node that is a list of cells.
    ///
    /// # Errors
    /// It has none of that name.
    pub fn cells(&self, property: &str) -> Result<Vec<u32>, DeviceError> {
        let bytes = read(&self.property_at(property))?;
        let (cells, _) = bytes.as_chunks::<4>();
        Ok(cells.iter().copied().map(u32::from_be_bytes).collect())
    }

    /// A property of its node that is a string, or the first one of a list.
    ///
    /// # Errors
    /// It has none of that name.
    pub fn string(&self, property: &str) -> Result<String, DeviceError> {
        let mut strings = self.strings(property)?;
        Ok(strings.drain(..).next().unwrap_or_default())
    }

    /// A property of its node that is a list of strings.
    ///
    /// # Errors
    /// It has none of that name.
    pub fn strings(&self, property: &str) -> Result<Vec<String>, DeviceError> {
        let bytes = read(&self.property_at(property))?;
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
        let texts = bytes.split(|byte| *byte == 0);
        Ok(texts
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect())
    }

    /// True when its node has a property of that name.
    pub fn has(&self, property: &str) -> bool {
        self.property_at(property).is_file()
    }

    fn property_at(&self, property: &str) -> PathBuf {
        self.folder.join("device/of_node").join(property)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, DeviceError> {
    fs::read(path).map_err(|error| DeviceError::Unreadable(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A class with one device, whose second range has this size.
    fn class(size: &str) -> tempfile::TempDir {
        let class = tempfile::tempdir().unwrap();
        let folder = class.path().join("uio0");
        let node = folder.join("device/of_node");
        fs::create_dir_all(&node).unwrap();
        fs::create_dir_all(folder.join("maps/map1")).unwrap();
        fs::write(folder.join("name"), "channel-sensors\n").unwrap();
        fs::write(folder.join("maps/map1/size"), size).unwrap();
        fs::write(node.join("bulkhead,end"), [0, 0, 0, 1]).unwrap();
        fs::write(node.join("bulkhead,access"), b"read-only\0").unwrap();
        class
    }

    #[test]
    fn device_is_found_by_the_name_of_its_node_and_another_is_not() {
        let class = class("0x1000\n");
        for name in ["channel-sensors\n", "channel-sensors@50000000\n"] {
            fs::write(class.path().join("uio0/name"), name).unwrap();
            let device = Device::find(class.path(), "channel-sensors").unwrap();
            assert_eq!(device.node(), Path::new("/dev/uio0"));
        }
        let error = Device::find(class.path(), "channel-sensor").unwrap_err();
        assert!(error.to_string().contains("`channel-sensor`"), "{error}");
    }

    #[test]
    fn class_that_does_not_exist_has_no_device() {
        assert!(Device::find(Path::new("/no-such-folder"), "x").is_err());
    }

    #[test]
    fn size_of_a_range_is_read_and_a_missing_range_has_none() {
        let class = class("0x10000\n");
        let device = Device::find(class.path(), "channel-sensors").unwrap();
        assert_eq!(device.size(1).unwrap(), Some(0x1_0000));
        assert_eq!(device.size(0).unwrap(), None);
    }

    #[test]
    fn size_that_is_none_is_refused() {
        for text in ["", "0x0\n", "4096\n", "0xfffffffffffffffff\n"] {
            let class = class(text);
            let device = Device::find(class.path(), "channel-sensors").unwrap();
            assert!(device.size(1).is_err(), "{text:?}");
        }
    }

    #[test]
    fn properties_are_read_as_cells_and_strings() {
        let class = class("0x1000\n");
        let device = Device::find(class.path(), "channel-sensors").unwrap();
        assert_eq!(device.cell("bulkhead,end").unwrap(), 1);
        assert_eq!(device.string("bulkhead,access").unwrap(), "read-only");
        assert!(device.cell("bulkhead,access").is_err());
        let node = class.path().join("uio0/device/of_node");
        fs::write(node.join("bulkhead,names"), b"rt\0camera\0").unwrap();
        fs::write(node.join("bulkhead,numbers"), [0, 0, 0, 1, 0, 0, 1, 0]).unwrap();
        assert_eq!(device.strings("bulkhead,names").unwrap(), ["rt", "camera"]);
        assert_eq!(device.cells("bulkhead,numbers").unwrap(), [1, 256]);
        assert!(device.has("bulkhead,names") && !device.has("no-such-property"));
        assert!(device.cell("no-such-property").is_err());
    }
}
