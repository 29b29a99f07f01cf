//! Encode and decode values, and cut byte streams into length-prefixed frames.

use minicbor::{Decode, Encode};

/// Bytes of a frame's length prefix, big endian, which does not count itself.
pub const PREFIX_BYTES: usize = 4;

pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to memory does not fail")
}

/// Decodes one value. Trailing bytes are ignored: they are padding, or a newer program's fields.
pub fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, String> {
    minicbor::decode(bytes).map_err(|e| e.to_string())
}

/// One frame as it goes on a stream.
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX_BYTES + bytes.len());
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
    out
}

/// Collects bytes as they arrive and gives back whole frames. The caller sets the limit: small
/// until the peer has proved itself. Memory: what was pushed and not yet taken, so push at most
/// one read's worth at a time and take all frames after each.
#[derive(Default, Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    taken: usize,
}

impl FrameReader {
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; None if it has not arrived yet; an error if it is over the limit.
    pub fn next(&mut self, limit_bytes: usize) -> Result<Option<Vec<u8>>, String> {
        let rest = &self.buffer[self.taken..];
        let Some((prefix, body)) = rest.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > limit_bytes {
            return Err(format!("frame of {length} bytes is over the limit of {limit_bytes}"));
        }
        if body.len() < length {
            return Ok(None);
        }
        let frame = body[..length].to_vec();
        self.taken += PREFIX_BYTES + length;
        Ok(Some(frame))
    }

    /// Bytes held that do not make a whole frame yet.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let stream: Vec<u8> = [&b"one"[..], b"", b"three"].iter().flat_map(|f| frame(f)).collect();
        for step in 1..stream.len() {
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            for chunk in stream.chunks(step) {
                reader.push(chunk);
                while let Some(frame) = reader.next(5).unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [&b"one"[..], b"", b"three"]);
            assert_eq!(reader.pending_bytes(), 0);
        }
    }

    #[test]
    fn frame_at_the_limit_and_over_it() {
        let mut reader = FrameReader::default();
        reader.push(&frame(&[7; 10]));
        assert_eq!(reader.next(10).unwrap().unwrap().len(), 10);
        reader.push(&u32::MAX.to_be_bytes());
        assert!(reader.next(10).unwrap_err().contains("limit of 10"));
    }
}
