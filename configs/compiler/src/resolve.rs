//! From names to things: the board, devices and images that a system file names.

mod board;
mod devices;
mod overlay;
mod windows;

pub(crate) use overlay::LoadedOverlay;

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use toml::Spanned;

use crate::board::{Board, Device};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::image::{self, Image, ImageFile, Machine};
use crate::payload::Payload;
use crate::raw::{RawImage, RawPartition, RawSystem};
use crate::resources::{ResourceError, Resources, Source};
use crate::separate::{SeparateFile, pieces};
use crate::supply::Supply;

/// What a partition's names stand for. What could not be found is reported and missing here.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// Devices with the place where each is named; the console device, if any, comes first.
    pub devices: Vec<(Range<usize>, Device)>,
    /// What the devices need of other nodes.
    pub supply: Supply,
    pub overlay: Option<LoadedOverlay>,
    pub image: Option<LoadedImage>,
}

impl Resolved {
    /// The file of its own in which its image lies.
    pub fn separate(&self) -> Option<&SeparateFile> {
        self.image.as_ref()?.separate.as_ref()
    }
}

/// An image with what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct LoadedImage {
    pub image: Image,
    pub initrd: Option<Rc<[u8]>>,
    pub cmdline: Option<String>,
    /// The file of its own in which it lies, if it does not lie in the hypervisor's.
    pub separate: Option<SeparateFile>,
    /// All files that it is made of, the image itself first.
    pub files: Vec<ImageFile>,
}

/// Turns names into things.
pub(crate) struct Resolver<'a> {
    pub source: &'a SourceText,
    pub resources: &'a dyn Resources,
    /// The system file's folder.
    pub folder: &'a Path,
    /// What images are for.
    pub machine: Machine,
}

impl Resolver<'_> {
    /// What each partition's names stand for.
    pub fn partitions(
        &self,
        system: &RawSystem,
        board: Option<&Board>,
        findings: &mut Diagnostics,
    ) -> Vec<Resolved> {
        let resolve = |partition: &RawPartition| {
            let (devices, supply) = match board {
                Some(board) => self.devices(partition, board, findings),
                None => (Vec::new(), Supply::default()),
            };
            let image = partition.image.as_ref();
            let overlay = partition.overlay.as_ref();
            Resolved {
                devices,
                supply,
                overlay: overlay.and_then(|name| self.overlay(name, &partition.title(), findings)),
                image: image
                    .and_then(|image| self.image(partition, image.get_ref(), board, findings)),
            }
        };
        let mut partitions: Vec<Resolved> = system.partitions.iter().map(resolve).collect();
        self.place_functions(&mut partitions, findings);
        partitions
    }

    fn image(
        &self,
        partition: &RawPartition,
        raw: &RawImage,
        board: Option<&Board>,
        findings: &mut Diagnostics,
    ) -> Option<LoadedImage> {
        // Kernel and initrd are both looked for, so that two missing files are two findings.
        let mut files = Vec::new();
        let (role, initrd, cmdline) = match raw {
            RawImage::Kernel {
                initrd, cmdline, ..
            } => {
                let named = initrd.as_ref();
                let initrd = named.and_then(|initrd| self.file(partition, initrd, findings));
                if let Some((name, bytes)) = named.zip(initrd.as_ref()) {
                    files.push(ImageFile::new("initrd", name.get_ref(), bytes));
                }
                ("kernel", initrd, cmdline.clone())
            }
            RawImage::File { .. } => ("program", None, None),
        };
        let main = raw.main();
        let bytes = self.file(partition, main, findings)?;
        files.insert(0, ImageFile::new(role, main.get_ref(), &bytes));
        let image = match raw {
            RawImage::Kernel { .. } => image::kernel(&bytes, self.machine),
            RawImage::File {
                entry: None,
                load: None,
                ..
            } => image::recognise(&bytes, self.machine),
            RawImage::File { entry: None, .. } => Err(image::load_without_entry(&bytes)),
            RawImage::File {
                entry: Some(entry),
                load,
                ..
            } => {
                let load = load.as_ref().map(|load| *load.get_ref());
                let load = load.or_else(|| board.map(Board::ram_base))?;
                image::raw(&bytes, load, *entry.get_ref())
            }
        };
        match image {
            Ok(image) => Some(LoadedImage {
                separate: raw.address().map(|address| {
                    let mut payload = Payload::default();
                    for piece in pieces(&image, initrd.as_ref()) {
                        payload.add(piece);
                    }
                    SeparateFile {
                        address: *address.get_ref(),
                        span: address.span(),
                        payload,
                    }
                }),
                image,
                initrd,
                cmdline,
                files,
            }),
            Err(error) => {
                let message = format!("the image of {} cannot be used: {error}", partition.title());
                findings.push(
                    Diagnostic::error(error.code(), message)
                        .at(self.source, main.span())
                        .found(main.get_ref())
                        .help(error.help(main.get_ref())),
                );
                None
            }
        }
    }

    fn file(
        &self,
        partition: &RawPartition,
        name: &Spanned<String>,
        findings: &mut Diagnostics,
    ) -> Option<Rc<[u8]>> {
        let source = match (Source::parse(name.get_ref()), self.machine) {
            (Source::Busybox, Machine::X86) => Source::PcBusybox,
            (source, _) => source,
        };
        let path = self.resources.image(&source, self.folder);
        let bytes = path.and_then(|path| {
            std::fs::read(&path).map_err(|error| ResourceError::Unavailable {
                reason: format!("{} cannot be read: {error}", path.display()),
                help: None,
            })
        });
        match bytes {
            Ok(bytes) if bytes.is_empty() => {
                let message = format!("a file of {} is empty", partition.title());
                let finding =
                    Diagnostic::error(codes::BROKEN_IMAGE, message).at(self.source, name.span());
                findings.push(finding.help("build or fetch the file again"));
                None
            }
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                let message = format!("an image of {} cannot be had: {error}", partition.title());
                let mut finding = Diagnostic::error(codes::IMAGE_UNAVAILABLE, message)
                    .at(self.source, name.span());
                finding.help = Some(match (error, &source) {
                    (
                        ResourceError::Unavailable {
                            help: Some(help), ..
                        },
                        _,
                    ) => help,
                    (_, Source::File(_)) => {
                        "check the path: it is relative to the system file".to_owned()
                    }
                    _ => "check the name; `cargo xtask setup` fetches what is missing".to_owned(),
                });
                findings.push(finding);
                None
            }
        }
    }
}
