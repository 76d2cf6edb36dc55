//! HTTP/2 with prior knowledge, as far as a client needs it whose requests are all the same: frames
//! are told apart, and of an answer's headers only the status is read.

use crate::connection::Answer;

const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;
/// `:status: 200` in HPACK's static table.
const STATUS_200: u8 = 0x88;
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// What a client says first: windows so large that none is ever updated in a run.
pub(crate) fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut settings = Vec::new();
    for (name, value) in [(2u16, 0), (4, LARGEST_WINDOW)] {
        settings.extend_from_slice(&name.to_be_bytes());
        settings.extend_from_slice(&value.to_be_bytes());
    }
    push_frame(&mut bytes, (SETTINGS, 0), 0, &settings);
    push_frame(&mut bytes, (8, 0), 0, &(LARGEST_WINDOW - 65_535).to_be_bytes());
    bytes
}

/// The header block of a GET, without the dynamic table.
pub(crate) fn block(path: &str, host: &str) -> Vec<u8> {
    let mut bytes = vec![0x82, 0x86];
    for (name, value) in [(4, path), (1, host)] {
        bytes.push(name);
        // A length below 127 is one byte.
        bytes.push(u8::try_from(value.len().min(126)).unwrap_or(126));
        bytes.extend_from_slice(&value.as_bytes()[..value.len().min(126)]);
    }
    bytes
}

/// The frame that begins and ends a request.
pub(crate) fn push_request(bytes: &mut Vec<u8>, stream: u32, block: &[u8]) {
    push_frame(bytes, (HEADERS, END_STREAM | END_HEADERS), stream, block);
}

/// What a frame means to this client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Headers of an answer: whether they say 200, and whether the answer ends with them.
    Headers { stream: u32, right: bool, end: bool },
    /// So many bytes of an answer's body.
    Data { stream: u32, bytes: usize, end: bool },
    /// The answer won't come.
    Reset { stream: u32 },
    /// To be sent back.
    Reply(Vec<u8>),
    /// The server ends the connection.
    End,
    /// Nothing that matters here.
    Other,
}

/// The first frame in `bytes` and how long it is; None where it isn't whole yet.
pub(crate) fn frame(bytes: &[u8]) -> Option<(usize, Frame)> {
    let head = bytes.get(..HEAD)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let payload = bytes.get(HEAD..HEAD + length)?;
    let (flags, stream) = (head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
    let end = flags & END_STREAM != 0;
    let meaning = match head[3] {
        DATA => Frame::Data { stream, bytes: data(payload, flags).unwrap_or(usize::MAX), end },
        HEADERS => Frame::Headers { stream, right: says_200(payload, flags), end },
        RST_STREAM => Frame::Reset { stream },
        SETTINGS if flags & ACK == 0 => Frame::Reply(reply((SETTINGS, ACK), &[])),
        PING if flags & ACK == 0 => Frame::Reply(reply((PING, ACK), payload)),
        GOAWAY => Frame::End,
        _ => Frame::Other,
    };
    Some((HEAD + length, meaning))
}

/// Whether an answer is right: its status and the bytes of its body.
pub(crate) fn judge(right: bool, bytes: usize, expected: usize) -> Answer {
    if right && bytes == expected { Answer::Right } else { Answer::Wrong }
}

fn data(payload: &[u8], flags: u8) -> Option<usize> {
    match flags & PADDED {
        0 => Some(payload.len()),
        _ => payload.len().checked_sub(1 + usize::from(*payload.first()?)),
    }
}

/// A server writes `:status` first; updates of the table's size may come before it.
fn says_200(payload: &[u8], flags: u8) -> bool {
    let skipped = usize::from(flags & PADDED != 0) + if flags & PRIORITY != 0 { 5 } else { 0 };
    let mut block = payload.get(skipped..).unwrap_or_default();
    while let [first, rest @ ..] = block
        && first & 0xe0 == 0x20
    {
        // The size is one byte, or goes on in those with the high bit and one more.
        let more = rest.iter().take_while(|byte| *byte & 0x80 != 0).count() + 1;
        block = if first & 0x1f == 0x1f { rest.get(more..).unwrap_or_default() } else { rest };
    }
    block.first() == Some(&STATUS_200)
}

fn reply(kind: (u8, u8), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_frame(&mut bytes, kind, 0, payload);
    bytes
}

fn push_frame(bytes: &mut Vec<u8>, (kind, flags): (u8, u8), stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(kind: (u8, u8), stream: u32, payload: &[u8]) -> Frame {
        let mut bytes = Vec::new();
        push_frame(&mut bytes, kind, stream, payload);
        assert_eq!(frame(&bytes[..bytes.len() - 1]), None);
        let (length, meaning) = frame(&bytes).unwrap();
        assert_eq!(length, bytes.len());
        meaning
    }

    #[test]
    fn frames_are_told_apart() {
        let headers = |right, end| Frame::Headers { stream: 3, right, end };
        assert_eq!(whole((HEADERS, 4), 3, &[0x88, 0x5f]), headers(true, false));
        assert_eq!(whole((HEADERS, 5), 3, &[0x20, 0x88]), headers(true, true));
        assert_eq!(whole((HEADERS, 4), 3, &[0x3f, 0xe1, 0x1f, 0x88]), headers(true, false));
        assert_eq!(whole((HEADERS, 4), 3, &[0x48, 0x03]), headers(false, false));
        assert_eq!(whole((DATA, 1), 5, b"abc"), Frame::Data { stream: 5, bytes: 3, end: true });
        let padded = Frame::Data { stream: 5, bytes: 2, end: false };
        assert_eq!(whole((DATA, PADDED), 5, b"\x01abc"), padded);
        assert_eq!(whole((RST_STREAM, 0), 5, &[0; 4]), Frame::Reset { stream: 5 });
        assert_eq!(whole((SETTINGS, ACK), 0, &[0]), Frame::Other);
        let pong = reply((PING, ACK), &[7; 8]);
        assert_eq!(whole((PING, 0), 0, &[7; 8]), Frame::Reply(pong));
    }
}
