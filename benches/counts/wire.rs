//! A client and an upstream in one: bytes made beforehand, on blocking sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What the upstream answers.
const BODY: &[u8] = b"an answer of a hundred and thirty bytes: long enough to be a body, short \
    enough for one segment, and the same each time it's asked for\n";

/// A path that the Mapping of `exchange` takes.
const PATH: &[u8] = b"/route-00000/some/page?q=1";

const HOST: &[u8] = b"shop.example.com";

/// One connection of a client and one of the gateway to its upstream.
pub(crate) trait Wire {
    /// Asks, answers, and reads the answer.
    fn exchange(&mut self);
}

/// HTTP/1.1 on both.
pub(crate) struct Http1 {
    client: TcpStream,
    listener: TcpListener,
    upstream: Option<TcpStream>,
    request: Vec<u8>,
    response: Vec<u8>,
    buffer: Vec<u8>,
}

impl Http1 {
    /// The upstream's connection is accepted with the first request.
    pub(crate) fn start(client: TcpStream, listener: TcpListener) -> Self {
        let request = [
            b"GET ",
            PATH,
            b" HTTP/1.1\r\nhost: ",
            HOST,
            b"\r\nuser-agent: counts/1\r\naccept: */*\r\n\r\n",
        ];
        let length = format!("content-length: {}\r\n\r\n", BODY.len());
        let head: &[u8] = b"HTTP/1.1 200 OK\r\nserver: counts\r\ncontent-type: text/plain\r\n";
        Self {
            client,
            listener,
            upstream: None,
            request: request.concat(),
            response: [head, length.as_bytes(), BODY].concat(),
            buffer: vec![],
        }
    }
}

impl Wire for Http1 {
    fn exchange(&mut self) {
        self.client.write_all(&self.request).expect("the gateway reads");
        let upstream = self.upstream.get_or_insert_with(|| accept(&self.listener));
        read_until(upstream, &mut self.buffer, b"\r\n\r\n");
        upstream.write_all(&self.response).expect("the gateway reads");
        read_until(&mut self.client, &mut self.buffer, BODY);
        assert!(self.buffer.starts_with(b"HTTP/1.1 200 "), "the gateway forwards");
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("the gateway connects");
    stream.set_nodelay(true).expect("a socket takes options");
    stream
}

fn read_until(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) {
    buffer.clear();
    while !buffer.ends_with(end) {
        let old = buffer.len();
        buffer.resize(old + 4096, 0);
        let count = stream.read(&mut buffer[old..]).expect("the gateway answers in time");
        assert_ne!(count, 0, "the gateway keeps its connections");
        buffer.truncate(old + count);
    }
}

/// HTTP/2 on both, with prior knowledge.
pub(crate) struct Http2 {
    client: Framed,
    upstream: Framed,
    stream: u32,
}

/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

/// END_STREAM, of HEADERS and DATA; ACK, of SETTINGS and PING.
const END: u8 = 1;
const END_HEADERS: u8 = 4;

impl Http2 {
    /// Says hello on both; the gateway connects to its upstream for the first request.
    pub(crate) fn start(client: TcpStream, listener: &TcpListener) -> Self {
        let mut client = Framed { stream: client };
        client.stream.write_all(PREFACE).expect("the gateway reads");
        client.hello();
        client.ask(1);
        let mut upstream = Framed { stream: accept(listener) };
        let mut preface = [0; PREFACE.len()];
        upstream.stream.read_exact(&mut preface).expect("the gateway says hello");
        assert_eq!(preface, PREFACE);
        upstream.hello();
        let mut both = Self { client, upstream, stream: 1 };
        both.answer();
        both
    }

    fn answer(&mut self) {
        let stream = self.upstream.ended();
        self.upstream.answer(stream);
        assert_eq!(self.client.ended(), self.stream, "the answer is that of the request");
    }
}

impl Wire for Http2 {
    fn exchange(&mut self) {
        self.stream += 2;
        self.client.ask(self.stream);
        self.answer();
    }
}

/// A connection of frames.
struct Framed {
    stream: TcpStream,
}

impl Framed {
    /// Settings, and more room than all answers together need.
    fn hello(&mut self) {
        self.write(&[frame(SETTINGS, 0, 0, &[]), frame(WINDOW_UPDATE, 0, 0, &[0, 64, 0, 0])]);
    }

    /// A request, in HPACK without its dynamic table: `:method: GET`, `:scheme: http`, the rest
    /// with names of the static table (RFC 7541, appendix A).
    fn ask(&mut self, stream: u32) {
        let (path, host) = (literal(4, PATH), literal(1, HOST));
        let (agent, accept) = (literal(58, b"counts/1"), literal(19, b"*/*"));
        let block = [&[0x82, 0x86][..], &path, &host, &agent, &accept].concat();
        self.write(&[frame(HEADERS, END | END_HEADERS, stream, &block)]);
    }

    /// `:status: 200`, two headers, the body.
    fn answer(&mut self, stream: u32) {
        let (server, kind) = (literal(54, b"counts"), literal(31, b"text/plain"));
        let block = [&[0x88][..], &server, &kind].concat();
        self.write(&[frame(HEADERS, END_HEADERS, stream, &block), frame(DATA, END, stream, BODY)]);
    }

    /// Reads to the end of a stream, and says which; acknowledges what has to be.
    fn ended(&mut self) -> u32 {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).expect("the gateway answers in time");
            let [a, b, c, kind, flags, id @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload).expect("frames come whole");
            match kind {
                HEADERS | DATA if flags & END != 0 => return u32::from_be_bytes(id),
                SETTINGS if flags & END == 0 => self.write(&[frame(SETTINGS, END, 0, &[])]),
                PING if flags & END == 0 => self.write(&[frame(PING, END, 0, &payload)]),
                // An end before its time: RST_STREAM, GOAWAY.
                _ => assert!(
                    [HEADERS, DATA, SETTINGS, PING, WINDOW_UPDATE].contains(&kind),
                    "the gateway sent a frame of type {kind}"
                ),
            }
        }
    }

    /// In one write, as one segment.
    fn write(&mut self, frames: &[Vec<u8>]) {
        self.stream.write_all(&frames.concat()).expect("the gateway reads");
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are small").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that isn't indexed, with a name of the static table.
fn literal(name: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("values are short");
    // Names beyond 14 need a second byte.
    let name = if name < 15 { vec![name] } else { vec![15, name - 15] };
    [&name[..], &[length], value].concat()
}
