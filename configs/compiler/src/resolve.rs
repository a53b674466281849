//! From names to things: the board, devices and images that a system file names.

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use toml::Spanned;

use crate::board::{Board, Device, read_board_toml};
use crate::codes;
use crate::devicetree::NodeId;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::image::{self, Image};
use crate::nearest::{nearest, suggestion};
use crate::raw::{RawConsole, RawImage, RawPartition, RawSystem};
use crate::resources::{ResourceError, Resources, Source};

/// What a partition's names stand for. What could not be found is reported and missing here.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// Devices with the place where each is named; the console device, if any, comes first.
    pub devices: Vec<(Range<usize>, Device)>,
    pub image: Option<LoadedImage>,
}

impl Resolved {
    /// True when the device belongs to this partition.
    pub fn owns(&self, node: NodeId) -> bool {
        self.devices.iter().any(|(_, device)| device.node == node)
    }
}

/// An image with what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct LoadedImage {
    pub image: Image,
    pub initrd: Option<Rc<[u8]>>,
    pub cmdline: Option<String>,
    /// Its source as the file names it.
    pub source: String,
}

/// Turns names into things.
pub(crate) struct Resolver<'a> {
    pub source: &'a SourceText,
    pub resources: &'a dyn Resources,
    /// The system file's folder.
    pub folder: &'a Path,
}

impl Resolver<'_> {
    /// The system's board.
    pub fn board(&self, system: &RawSystem, findings: &mut Diagnostics) -> Option<Board> {
        let name = system.board.as_ref()?;
        let report =
            |code, message: String| Diagnostic::error(code, message).at(self.source, name.span());
        let files = match self.resources.board(name.get_ref()) {
            Ok(files) => files,
            Err(ResourceError::NotFound { .. }) => {
                let known = self.resources.boards();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let mut finding = report(
                    codes::UNKNOWN_BOARD,
                    format!("there is no board `{}`", name.get_ref()),
                );
                finding.help = suggestion(name.get_ref(), &known);
                findings.push(finding);
                return None;
            }
            Err(ResourceError::Unavailable { reason, help }) => {
                let mut finding = report(
                    codes::BOARD_UNAVAILABLE,
                    format!("board `{}` cannot be had: {reason}", name.get_ref()),
                );
                finding.help = help;
                findings.push(finding);
                return None;
            }
        };
        let file = match read_board_toml(&files.board_toml, &files.path) {
            Ok(file) => file,
            Err(more) => {
                findings.extend(more);
                return None;
            }
        };
        if file.name != *name.get_ref() {
            let message = format!(
                "board `{}` calls itself `{}` in board.toml",
                name.get_ref(),
                file.name
            );
            let finding = report(codes::BOARD_UNAVAILABLE, message).in_file(&files.path);
            findings.push(finding.help("give the folder and `name` in board.toml the same name"));
            return None;
        }
        match Board::new(file, &files.tree) {
            Ok(board) => Some(board),
            Err(errors) => {
                for error in errors {
                    let message = format!("board `{}` cannot be used: {error}", name.get_ref());
                    findings.push(
                        report(error.code(), message)
                            .in_file(&files.path)
                            .help(error.help()),
                    );
                }
                None
            }
        }
    }

    /// What each partition's names stand for.
    pub fn partitions(
        &self,
        system: &RawSystem,
        board: Option<&Board>,
        findings: &mut Diagnostics,
    ) -> Vec<Resolved> {
        let resolve = |partition: &RawPartition| Resolved {
            devices: board.map_or(Vec::new(), |board| self.devices(partition, board, findings)),
            image: partition
                .image
                .as_ref()
                .and_then(|image| self.image(partition, image.get_ref(), board, findings)),
        };
        system.partitions.iter().map(resolve).collect()
    }

    fn devices(
        &self,
        partition: &RawPartition,
        board: &Board,
        findings: &mut Diagnostics,
    ) -> Vec<(Range<usize>, Device)> {
        let console = match partition.console.as_ref().map(Spanned::get_ref) {
            Some(RawConsole::Device(name)) => Some(name),
            _ => None,
        };
        let mut devices: Vec<(Range<usize>, Device)> = Vec::new();
        let listed = partition.devices.iter().map(|device| &device.name);
        for name in console.into_iter().chain(listed) {
            match self.device(name, board) {
                // `console = { device = … }` may repeat what `devices` says.
                Ok(device)
                    if console.is_some()
                        && devices
                            .first()
                            .is_some_and(|(_, first)| first.node == device.node) => {}
                Ok(device) => devices.push((name.span(), device)),
                Err(finding) => findings.push(*finding),
            }
        }
        devices
    }

    fn device(&self, name: &Spanned<String>, board: &Board) -> Result<Device, Box<Diagnostic>> {
        let text = name.get_ref();
        let report =
            |code, message: String| Diagnostic::error(code, message).at(self.source, name.span());
        let Some(node) = board.device_node(text) else {
            let names = board.device_names();
            let mut finding = report(
                codes::UNKNOWN_DEVICE,
                format!("the board has no device `{text}`"),
            );
            finding.help = Some(match nearest(text, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    "name it by label, alias or full path in the board's device tree".to_owned()
                }
            });
            return Err(Box::new(finding));
        };
        board.device(node).map_err(|error| {
            let finding = report(
                error.code(),
                format!("`{text}` cannot be passed through: {error}"),
            );
            Box::new(finding.help(error.help()))
        })
    }

    fn image(
        &self,
        partition: &RawPartition,
        raw: &RawImage,
        board: Option<&Board>,
        findings: &mut Diagnostics,
    ) -> Option<LoadedImage> {
        // Kernel and initrd are both looked for, so that two missing files are two findings.
        let (initrd, cmdline) = match raw {
            RawImage::Kernel {
                initrd, cmdline, ..
            } => {
                let initrd = initrd
                    .as_ref()
                    .map(|initrd| self.file(partition, initrd, findings));
                (initrd.flatten(), cmdline.clone())
            }
            RawImage::File { .. } => (None, None),
        };
        let main = raw.main();
        let bytes = self.file(partition, main, findings)?;
        let image = match raw {
            RawImage::Kernel { .. } => image::kernel(&bytes),
            RawImage::File {
                entry: None,
                load: None,
                ..
            } => image::recognise(&bytes),
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
                image,
                initrd,
                cmdline,
                source: main.get_ref().clone(),
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
        let source = Source::parse(name.get_ref());
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
