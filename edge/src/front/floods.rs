//! What one HTTP/2 connection may make us do: so many resets, so many frames that carry nothing. Pure: bytes and time in,
//! a verdict out.
//!
//! The h2 crate bounds what it remembers (streams, header lists, CONTINUATION, frames of our own that wait). What it
//! answers at once it does not count: a client could open and reset streams for ever (CVE-2023-44487), or send frames
//! that cost it nothing (CVE-2019-9511 to 9518). So frames are counted as they come, by their first nine bytes.

use std::time::{Duration, Instant};

/// A window of each count.
const WINDOW: Duration = Duration::from_secs(1);
/// Streams a client takes back in one window: who leaves a page takes back what it was waiting for, a hundred at most.
/// To reset what was answered to its end is idle talk that some clients keep up (curl): each such stream allows one.
const RESETS_MAX: u32 = 100;
/// Frames that ask for nothing (SETTINGS, PING, PRIORITY, empty DATA, types that nobody knows) in one window.
const IDLE_FRAMES_MAX: u32 = 1_000;
/// WINDOW_UPDATEs in one window; and one more for each so many bytes that were sent.
const UPDATES_MAX: u32 = 1_000;
const UPDATE_BYTES: u64 = 1024;

/// Length, type, flags, stream (RFC 9113 §4.1).
const FRAME_HEAD_BYTES: usize = 9;

// RFC 9113 §6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

/// What a client has sent on a connection.
#[derive(Debug)]
pub struct Floods {
    from_client: Frames,
    to_client: Frames,
    /// When the window began.
    since: Instant,
    resets: u32,
    /// Streams that were answered to their end, and not reset after it.
    answered: u64,
    idle: u32,
    /// WINDOW_UPDATEs it may still send.
    updates: u64,
    /// Bytes that were sent, and have not earned an update yet.
    sent: u64,
}

/// Finds the frames in bytes that come cut anywhere.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes until the next frame begins.
    ahead: usize,
    head: [u8; FRAME_HEAD_BYTES],
    /// Bytes of `head` that are here.
    here: usize,
}

/// What counts of a frame.
#[derive(Clone, Copy)]
struct FrameHead {
    kind: u8,
    flags: u8,
    is_empty: bool,
}

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    Resets,
    IdleFrames,
    WindowUpdates,
}

impl Floods {
    pub fn new(now: Instant) -> Self {
        Self {
            from_client: Frames::default(),
            to_client: Frames::default(),
            since: now,
            resets: 0,
            answered: 0,
            idle: 0,
            updates: UPDATES_MAX.into(),
            sent: 0,
        }
    }

    /// The client sent these behind its preface, cut anywhere.
    pub fn read(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        if now.saturating_duration_since(self.since) >= WINDOW {
            self.since = now;
            (self.resets, self.idle) = (0, 0);
            self.updates = self.updates.max(UPDATES_MAX.into());
        }
        while let Some(frame) = self.from_client.next(&mut bytes) {
            self.count(frame)?;
        }
        Ok(())
    }

    /// These went to the client.
    pub fn wrote(&mut self, mut bytes: &[u8]) {
        self.sent += bytes.len() as u64;
        self.updates += self.sent / UPDATE_BYTES;
        self.sent %= UPDATE_BYTES;
        while let Some(frame) = self.to_client.next(&mut bytes) {
            let ends = matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0;
            self.answered += u64::from(ends);
        }
    }

    fn count(&mut self, frame: FrameHead) -> Result<(), Flood> {
        match frame.kind {
            // Requests, and what they carry: streams and bytes are bounded elsewhere.
            DATA if !frame.is_empty || frame.flags & END_STREAM != 0 => {}
            HEADERS | CONTINUATION | GOAWAY => {}
            RST_STREAM if self.answered > 0 => self.answered -= 1,
            RST_STREAM => {
                self.resets += 1;
                if self.resets > RESETS_MAX {
                    return Err(Flood::Resets);
                }
            }
            WINDOW_UPDATE => {
                let left = self.updates.checked_sub(1);
                self.updates = left.ok_or(Flood::WindowUpdates)?;
            }
            _ => {
                self.idle += 1;
                if self.idle > IDLE_FRAMES_MAX {
                    return Err(Flood::IdleFrames);
                }
            }
        }
        Ok(())
    }
}

impl Frames {
    /// The next head that ends within `bytes`, which are left where it ends.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        let passed = self.ahead.min(bytes.len());
        self.ahead -= passed;
        *bytes = bytes.get(passed..)?;
        while let Some(place) = self.head.get_mut(self.here) {
            let (byte, rest) = bytes.split_first()?;
            (*place, *bytes) = (*byte, rest);
            self.here += 1;
        }
        self.here = 0;
        let [high, middle, low, kind, flags, ..] = self.head;
        self.ahead = u32::from_be_bytes([0, high, middle, low]) as usize;
        Some(FrameHead {
            kind,
            flags,
            is_empty: self.ahead == 0,
        })
    }
}

impl Flood {
    pub fn detail(self) -> &'static str {
        match self {
            Self::Resets => "more streams were reset than a client may",
            Self::IdleFrames => "more frames that ask for nothing than a client may send",
            Self::WindowUpdates => "more window updates than what was sent is worth",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        [&head[..], payload].concat()
    }

    #[test]
    fn a_connection_may_send_so_many_of_each_frame_in_a_second() {
        const PING: u8 = 6;
        let check = |frame: Vec<u8>, max: Option<u32>, flood: Flood| {
            let now = clock::instant();
            let mut floods = Floods::new(now);
            let max = max.unwrap_or(10_000);
            for _ in 0..max {
                floods.read(&frame, now).unwrap();
            }
            let next = floods.read(&frame, now);
            assert_eq!(next, if max < 10_000 { Err(flood) } else { Ok(()) });
            // Another second, another count.
            let later = now + WINDOW;
            let mut floods = Floods::new(now);
            for now in [now, later] {
                for _ in 0..max {
                    floods.read(&frame, now).unwrap();
                }
            }
        };
        check(frame(RST_STREAM, 0, &[0; 4]), Some(100), Flood::Resets);
        check(frame(4, 0, &[0; 6]), Some(1_000), Flood::IdleFrames);
        check(frame(PING, 0, &[0; 8]), Some(1_000), Flood::IdleFrames);
        check(frame(DATA, 0, &[]), Some(1_000), Flood::IdleFrames);
        check(frame(0xfe, 0, &[1; 300]), Some(1_000), Flood::IdleFrames);
        let update = frame(WINDOW_UPDATE, 0, &[0; 4]);
        check(update, Some(1_000), Flood::WindowUpdates);
        check(frame(DATA, END_STREAM, &[]), None, Flood::IdleFrames);
        check(frame(DATA, 0, b"x"), None, Flood::IdleFrames);
        check(frame(HEADERS, 5, b"\x82"), None, Flood::IdleFrames);
    }

    #[test]
    fn what_was_sent_earns_window_updates() {
        let now = clock::instant();
        let mut floods = Floods::new(now);
        for _ in 0..10 {
            floods.wrote(&frame(DATA, 0, &[0; 991]));
        }
        let update = frame(WINDOW_UPDATE, 0, &[0; 4]);
        floods.read(&update.repeat(1_009), now).unwrap();
        assert_eq!(floods.read(&update, now), Err(Flood::WindowUpdates));
    }

    #[test]
    fn what_was_answered_may_be_reset() {
        let now = clock::instant();
        let reset = frame(RST_STREAM, 0, &[0; 4]);
        let mut floods = Floods::new(now);
        for _ in 0..10_000 {
            floods.wrote(&frame(HEADERS, 4, b"\x88"));
            floods.wrote(&frame(DATA, END_STREAM, b"body"));
            floods.read(&reset, now).unwrap();
        }
        floods.read(&reset.repeat(100), now).unwrap();
        assert_eq!(floods.read(&reset, now), Err(Flood::Resets));
    }

    #[test]
    fn frames_are_counted_however_the_bytes_are_cut() {
        // A payload that looks like a flood of resets is a payload.
        let inside = frame(RST_STREAM, 0, &[0; 4]).repeat(200);
        let harmless = frame(DATA, 0, &inside);
        let flood = frame(RST_STREAM, 0, &[0; 4]).repeat(101);
        for size in [1, 2, 3, 8, 9, 10, 1_000] {
            let now = clock::instant();
            let mut floods = Floods::new(now);
            for piece in harmless.chunks(size) {
                floods.read(piece, now).unwrap();
            }
            let mut cut = flood
                .chunks(size)
                .filter_map(|piece| floods.read(piece, now).err());
            assert_eq!(cut.next(), Some(Flood::Resets), "{size}");
        }
    }
}
