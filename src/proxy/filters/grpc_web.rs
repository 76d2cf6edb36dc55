//! gRPC-Web: what a browser can't say in HTTP it says in the body. The last frame of an answer
//! holds the trailers, and either body may be in base64 (gRPC's PROTOCOL-WEB).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::proxy::body::{RequestBody, ResponseBody};
use crate::proxy::grpc::{Dialect, GRPC, GRPC_STATUS, is_grpc};

const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The flag of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;

/// A gRPC-Web request as a gRPC upstream gets it.
pub(crate) fn translate_request(
    headers: &mut HeaderMap,
    body: RequestBody,
    text: bool,
) -> RequestBody {
    headers.insert(header::CONTENT_TYPE, GRPC);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    // A browser's client that doesn't say what it can unpack can't unpack.
    headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
    if !text {
        return body;
    }
    headers.remove(header::CONTENT_LENGTH);
    body.decoded()
}

/// A gRPC upstream's answer as a gRPC-Web client gets it. One that isn't gRPC's becomes an error.
pub(crate) fn translate_answer(
    response: Response<ResponseBody>,
    dialect: Dialect,
) -> Response<ResponseBody> {
    let Dialect::Web { text_answer, .. } = dialect else { return response };
    let status = response.status();
    if status != StatusCode::OK || !is_grpc(response.headers()) {
        if response.headers().contains_key(GRPC_STATUS) {
            return response;
        }
        let message = format!("the upstream answered {} and not in gRPC", status.as_u16());
        return dialect.error(status, &message);
    }
    let (mut head, body) = response.into_parts();
    head.headers.insert(header::CONTENT_TYPE, dialect.content_type());
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::TRAILER);
    Response::from_parts(head, body.encoded(Encoder::new(text_answer)))
}

/// The body of a gRPC-Web answer from that of a gRPC one.
#[derive(Debug)]
pub struct Encoder {
    text: bool,
}

impl Encoder {
    /// One that makes base64 where `text` says so.
    pub fn new(text: bool) -> Self {
        Self { text }
    }

    /// A piece of the body. Each is complete by itself, so that no message waits for the next.
    pub fn data(&self, bytes: Bytes) -> Bytes {
        if self.text { STANDARD.encode(&bytes).into() } else { bytes }
    }

    /// The frame that holds the trailers.
    pub fn trailers(&self, trailers: &HeaderMap) -> Bytes {
        let mut lines = BytesMut::new();
        for (name, value) in trailers {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.put_u8(b':');
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        let mut frame = BytesMut::with_capacity(lines.len() + 5);
        frame.put_u8(TRAILERS);
        // Trailers have the size of a head at most.
        frame.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        frame.extend_from_slice(&lines);
        self.data(frame.freeze())
    }
}

/// Base64 that comes in pieces, each of which may be padded at its end.
#[derive(Debug, Default)]
pub struct TextDecoder {
    /// Less than four characters that wait for the rest of their group.
    rest: [u8; 4],
    length: usize,
}

/// What came isn't base64, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64")]
pub struct NotBase64;

impl TextDecoder {
    /// The bytes that a piece completes.
    ///
    /// # Errors
    ///
    /// If the piece isn't base64.
    pub fn data(&mut self, mut piece: &[u8]) -> Result<Bytes, NotBase64> {
        let mut out = Vec::with_capacity((self.length + piece.len()) / 4 * 3);
        while self.length > 0 && self.length < 4 && !piece.is_empty() {
            self.rest[self.length] = piece[0];
            self.length += 1;
            piece = &piece[1..];
        }
        if self.length == 4 {
            decode(&self.rest, &mut out)?;
            self.length = 0;
        }
        if self.length > 0 {
            return Ok(out.into());
        }
        let (whole, rest) = piece.split_at(piece.len() / 4 * 4);
        self.rest[..rest.len()].copy_from_slice(rest);
        self.length = rest.len();
        // Padding ends a group, and another may follow.
        let mut whole = whole;
        while let Some(at) = whole.iter().position(|byte| *byte == b'=') {
            let (group, next) = whole.split_at(at / 4 * 4 + 4);
            decode(group, &mut out)?;
            whole = next;
        }
        decode(whole, &mut out)?;
        Ok(out.into())
    }

    /// The end.
    ///
    /// # Errors
    ///
    /// If a group isn't complete.
    pub fn finish(&self) -> Result<(), NotBase64> {
        if self.length == 0 { Ok(()) } else { Err(NotBase64) }
    }
}

fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
    STANDARD.decode_vec(text, out).map_err(|_| NotBase64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a text is cut, the same bytes come of it.
        #[test]
        fn pieces_give_the_same_bytes(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
            cuts in prop::collection::vec(1_usize..9, 1..20),
        ) {
            let encoder = Encoder::new(true);
            let text: Vec<u8> = messages
                .iter()
                .flat_map(|message| encoder.data(Bytes::copy_from_slice(message)))
                .collect();
            let mut decoder = TextDecoder::default();
            let mut got = Vec::new();
            let (mut left, mut cuts) = (&text[..], cuts.iter().cycle());
            while !left.is_empty() {
                let length = left.len().min(*cuts.next().expect("endless"));
                let (piece, rest) = left.split_at(length);
                got.extend(decoder.data(piece).expect("base64"));
                left = rest;
            }
            prop_assert_eq!(decoder.finish(), Ok(()));
            prop_assert_eq!(got, messages.concat());
        }

        /// Whether a text is refused does not depend on its cuts either.
        #[test]
        fn pieces_are_refused_alike(text in "[A-D=! ]{0,16}", cut in 0_usize..17) {
            let whole = |pieces: &[&[u8]]| {
                let mut decoder = TextDecoder::default();
                let mut out = Vec::new();
                for piece in pieces {
                    out.extend(decoder.data(piece)?);
                }
                decoder.finish().map(|()| out)
            };
            let text = text.as_bytes();
            let (first, second) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(whole(&[text]), whole(&[first, second]));
        }
    }

    #[test]
    fn trailers_are_a_frame() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("x-a", HeaderValue::from_static("b"));
        let frame = Encoder::new(false).trailers(&trailers);
        assert_eq!(&frame[..], b"\x80\0\0\0\x16grpc-status:0\r\nx-a:b\r\n");
        let text = Encoder::new(true).trailers(&trailers);
        let mut decoder = TextDecoder::default();
        assert_eq!(decoder.data(&text), Ok(frame));
    }
}
