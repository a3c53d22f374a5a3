//! A million small rows in a few large pieces: what is not looked at costs its bytes and nothing more.

use serde::{Serialize, de::DeserializeOwned};

const PIECE: usize = 4 << 20;

/// Rows as JSON, back to back.
#[derive(Default)]
pub(super) struct Arena {
    pieces: Vec<Vec<u8>>,
}

/// Where a row lies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    piece: u32,
    at: u32,
    len: u32,
}

impl Arena {
    pub fn put<T: Serialize>(&mut self, row: &T) -> Slot {
        if self.pieces.last().is_none_or(|piece| piece.len() >= PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE + PIECE / 16));
        }
        let piece = self.pieces.len() - 1;
        let Some(last) = self.pieces.last_mut() else { return Slot::default() };
        let at = last.len();
        if serde_json::to_writer(&mut *last, row).is_err() {
            last.truncate(at);
        }
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Slot { piece: small(piece), at: small(at), len: small(last.len() - at) }
    }

    /// `None` only for a row that could not be written.
    pub fn get<T: DeserializeOwned>(&self, slot: Slot) -> Option<T> {
        let (at, len) = (slot.at as usize, slot.len as usize);
        let bytes = self.pieces.get(slot.piece as usize)?.get(at..at + len)?;
        serde_json::from_slice(bytes).ok()
    }
}
