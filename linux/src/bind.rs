//! Has generic UIO drive a device that its parameter `of_id` does not name: it takes one name only, which is that of channels (Linux,
//! Documentation/ABI/testing/sysfs-bus-platform, "driver_override").

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the kernel lists platform devices and their drivers.
pub const PLATFORM: &str = "/sys/bus/platform";

const DRIVER: &str = "uio_pdrv_genirq";

/// Why generic UIO does not drive a device.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No such device.
    #[error(
        "this partition has no `{0}` in its device tree: does the system file say `control_page = true`?"
    )]
    NoDevice(String),
    /// A file cannot be written.
    #[error("cannot write {0}: {1}; is the module uio_pdrv_genirq loaded?")]
    Unwritable(PathBuf, io::Error),
}

/// Binds the platform device with this `compatible` to generic UIO.
///
/// # Errors
/// [`BindError`].
pub fn bind(platform: &Path, compatible: &str) -> Result<(), BindError> {
    let devices = fs::read_dir(platform.join("devices"));
    let mut devices = devices.into_iter().flatten().flatten();
    let is_it = |folder: &Path| {
        let strings = fs::read(folder.join("of_node/compatible")).unwrap_or_default();
        let mut strings = strings.split(|byte| *byte == 0);
        strings.any(|one| one == compatible.as_bytes())
    };
    let device = devices.find(|device| is_it(&device.path()));
    let device = device.ok_or_else(|| BindError::NoDevice(compatible.to_owned()))?;
    let write = |path: PathBuf, bytes: &[u8]| {
        fs::write(&path, bytes).map_err(|error| BindError::Unwritable(path, error))
    };
    write(device.path().join("driver_override"), DRIVER.as_bytes())?;
    let bind = platform.join("drivers").join(DRIVER).join("bind");
    write(bind, device.file_name().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bus with two devices, and with the driver or not.
    fn bus(driver: bool) -> tempfile::TempDir {
        let bus = tempfile::tempdir().unwrap();
        for (device, compatible) in [
            ("9000000.pl011", "arm,pl011\0arm,primecell\0"),
            ("44000000.control", "bulkhead,control\0bulkhead,failures\0"),
        ] {
            let node = bus.path().join("devices").join(device).join("of_node");
            fs::create_dir_all(&node).unwrap();
            fs::write(node.join("compatible"), compatible).unwrap();
        }
        if driver {
            fs::create_dir_all(bus.path().join("drivers").join(DRIVER)).unwrap();
        }
        bus
    }

    #[test]
    fn device_is_found_by_any_of_its_names_and_given_to_the_driver() {
        for compatible in ["bulkhead,control", "bulkhead,failures"] {
            let bus = bus(true);
            bind(bus.path(), compatible).unwrap();
            let read = |path: &str| fs::read_to_string(bus.path().join(path)).unwrap();
            let chosen = read("devices/44000000.control/driver_override");
            assert_eq!(chosen, "uio_pdrv_genirq");
            let bound = read("drivers/uio_pdrv_genirq/bind");
            assert_eq!(bound, "44000000.control");
        }
    }

    #[test]
    fn device_that_is_not_there_and_driver_that_is_not_loaded_are_told() {
        let missing = bind(bus(true).path(), "bulkhead,contro").unwrap_err();
        assert!(missing.to_string().contains("control_page"), "{missing}");
        let unloaded = bind(bus(false).path(), "bulkhead,control").unwrap_err();
        assert!(unloaded.to_string().contains("loaded?"), "{unloaded}");
    }
}
