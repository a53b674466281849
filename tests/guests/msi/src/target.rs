//! Where messages go: a GICv2m frame or an ITS, whichever the board has.

use board::{Board, Region};

use crate::its::Its;

/// Offset of the register that messages are written to, in a v2m frame (Server Base System Architecture, appendix E).
const SETSPI: u64 = 0x40;

/// What takes the messages of devices.
pub enum Target {
    /// A message raises the SPI that it names.
    V2m {
        /// Its registers.
        frame: Region,
        /// The frame's first SPI.
        intid: u32,
    },
    /// A message raises the LPI of the event that it names.
    Its(Its),
}

impl Target {
    /// The one that the board has.
    ///
    /// # Errors
    /// What is missing.
    pub fn find(board: &Board) -> Result<Self, &'static str> {
        if let Some(node) = board.find("arm,gic-v3-its") {
            let frames = node.region().ok_or("the ITS has no registers")?;
            return Ok(Self::Its(Its { frames }));
        }
        let node = board
            .find("arm,gic-v2m-frame")
            .ok_or("neither an ITS nor a v2m frame")?;
        Ok(Self::V2m {
            frame: node.region().ok_or("the frame has no registers")?,
            intid: node
                .cells("arm,msi-base-spi")
                .next()
                .ok_or("the tree does not say which SPIs the frame has")?,
        })
    }

    /// Enables the interrupt for messages of this device. Returns its INTID, and what the target is called.
    ///
    /// # Errors
    /// What the ITS did not do.
    pub fn set_up(
        &self,
        board: &Board,
        requester: u32,
    ) -> Result<(u32, &'static str), &'static str> {
        match self {
            Self::V2m { intid, .. } => {
                board.gic.enable(*intid);
                Ok((*intid, "v2m frame"))
            }
            Self::Its(its) => Ok((its.set_up(board, requester)?, "ITS")),
        }
    }

    /// Address and data of a message.
    pub fn doorbell(&self) -> (u64, u32) {
        match self {
            Self::V2m { frame, intid } => (frame.base + SETSPI, *intid),
            Self::Its(its) => its.doorbell(),
        }
    }
}
