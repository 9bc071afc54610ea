//! A file as the body of an answer, read as fast as it is taken.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Bytes that are read at a time.
const PART_BYTES: usize = 64 << 10;

/// Parts that are read ahead.
const PARTS_AHEAD: usize = 4;

/// The rest of a file.
pub struct Download {
    parts: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Download {
    /// Reads a file on a thread of its own, and gives `permit` back at its end or when nobody takes it any more.
    ///
    /// # Errors
    /// If its length is not known.
    pub fn start(mut file: File, permit: OwnedSemaphorePermit) -> io::Result<Download> {
        let left = file.metadata()?.len();
        let (give, parts) = mpsc::channel(PARTS_AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; PART_BYTES];
            loop {
                let part = match file.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => Ok(Bytes::copy_from_slice(&buffer[..count])),
                    Err(error) => Err(error),
                };
                let failed = part.is_err();
                if give.blocking_send(part).is_err() || failed {
                    break;
                }
            }
            drop(permit);
        });
        Ok(Download { parts, left })
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = self.parts.poll_recv(cx);
        if let Poll::Ready(Some(Ok(part))) = &polled {
            self.left = self.left.saturating_sub(part.len() as u64);
        }
        polled.map(|part| part.map(|part| part.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
