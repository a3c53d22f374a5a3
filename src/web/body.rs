//! Bodies of signals and reports. They are read only once their sender is known, and only so many large ones are in memory at once:
//! each connection may carry one, and what is being sent must not die of memory for it.

use axum::body::{Body, Bytes, HttpBody as _};
use futures::StreamExt as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies of hooks.
pub(super) const SMALL: usize = 64 * 1024;

/// Bodies of signals.
pub(super) const LARGE: usize = 1024 * 1024;

/// So much of a body needs no room of its own: what a form or a single event has.
pub(super) const FREE: usize = 4 * 1024;

/// For all bodies beyond [`FREE`] together, in KiB.
const ROOM: usize = 16 * 1024;

/// A body, and the room it takes for as long as somebody works on it.
pub(super) struct Read {
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

impl Room {
    /// The whole body, once there is room for it. `None`: it is larger than `limit`, or its sender has gone.
    pub async fn read(&self, body: Body, limit: usize) -> Option<Read> {
        let most = body.size_hint().upper().and_then(|most| usize::try_from(most).ok()).map_or(limit, |most| most.min(limit));
        let mut stream = body.into_data_stream();
        let (mut bytes, mut room) = (Vec::new(), None);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.ok()?;
            let length = bytes.len() + chunk.len();
            if length > limit {
                return None;
            }
            if length > FREE && room.is_none() {
                let units = u32::try_from(most.div_ceil(1024)).ok()?;
                room = Some(Arc::clone(&self.0).acquire_many_owned(units).await.ok()?);
            }
            bytes.extend_from_slice(&chunk);
        }
        Some(Read { bytes: bytes.into(), _room: room })
    }
}

#[cfg(test)]
mod tests {
    use super::{FREE, LARGE, ROOM, Room};
    use axum::body::Body;
    use std::time::Duration;

    #[tokio::test]
    async fn large_bodies_wait_for_room_and_small_ones_do_not() {
        let room = Room::default();
        let read = async |size: usize| {
            let body = room.read(Body::from(vec![b' '; size]), LARGE);
            tokio::time::timeout(Duration::from_millis(200), body).await.ok().map(|read| read.unwrap())
        };
        let mut held = Vec::new();
        for _ in 0..ROOM * 1024 / LARGE {
            held.push(read(LARGE).await.unwrap());
        }
        assert!(read(LARGE).await.is_none(), "one more waits");
        assert_eq!(read(FREE).await.unwrap().bytes.len(), FREE);
        held.pop();
        assert!(read(LARGE).await.is_some());
        assert!(room.read(Body::from(vec![b' '; LARGE + 1]), LARGE).await.is_none());
    }
}
