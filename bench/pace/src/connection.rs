//! One connection: what waits on it for an answer, and what came.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::http2::Frame;
use crate::options::{Form, Options};
use crate::{http1, http2};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Right,
    /// Another status, or a body of another length.
    Wrong,
    /// None: the connection or the stream ended.
    Broken,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Waiting {
    /// When it was to be sent.
    due: Instant,
    /// 0 in HTTP/1.1.
    stream: u32,
    right: bool,
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    form: Form,
    /// The bytes of a request, or of its headers' block.
    request: Vec<u8>,
    expected: usize,
    waiting: VecDeque<Waiting>,
    received: Vec<u8>,
    unsent: Vec<u8>,
    next_stream: u32,
}

impl Connection {
    /// Begins to connect.
    ///
    /// # Errors
    /// Where that fails at once.
    pub(crate) fn open(options: &Options) -> io::Result<Self> {
        let family =
            if options.address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, &options.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let (path, host) = (&options.path, &options.host);
        let (request, unsent) = match options.form {
            Form::Streams(_) => (http2::block(path, host), http2::preface()),
            form => (http1::request(path, host, form == Form::New), Vec::new()),
        };
        Ok(Self {
            socket: socket.into(),
            form: options.form,
            request,
            expected: options.bytes,
            waiting: VecDeque::new(),
            received: Vec::new(),
            unsent,
            next_stream: 1,
        })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// How many more requests it takes now.
    pub(crate) fn room(&self) -> usize {
        let streams = if let Form::Streams(streams) = self.form { streams } else { 1 };
        streams.saturating_sub(self.waiting.len())
    }

    /// Sends a request that was due then.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub(crate) fn send(&mut self, due: Instant) -> io::Result<()> {
        let mut stream = 0;
        if let Form::Streams(_) = self.form {
            stream = self.next_stream;
            self.next_stream += 2;
            http2::push_request(&mut self.unsent, stream, &self.request);
        } else {
            self.unsent.extend_from_slice(&self.request);
        }
        self.waiting.push_back(Waiting { due, stream, right: false, bytes: 0 });
        self.flush()
    }

    /// Sends what is left to be sent, as far as that goes. While it connects, that is nothing.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) =>
                {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what came; what was answered goes to `done` with the time when it was due.
    ///
    /// # Errors
    /// Where the connection is broken or has ended; see [`Self::give_up`].
    pub(crate) fn receive(&mut self, done: &mut Vec<(Instant, Answer)>) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.received.extend_from_slice(&buffer[..length]);
                    self.understand(done)?;
                    // Events come on the edge: the end may have come together with the answer, and
                    // who makes a connection for each request must see it.
                    if length < buffer.len() && self.form != Form::New {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// What waits here gets no answer.
    pub(crate) fn give_up(&mut self, done: &mut Vec<(Instant, Answer)>) {
        done.extend(self.waiting.drain(..).map(|waiting| (waiting.due, Answer::Broken)));
    }

    fn understand(&mut self, done: &mut Vec<(Instant, Answer)>) -> io::Result<()> {
        let mut read = 0;
        if let Form::Streams(_) = self.form {
            while let Some((length, frame)) = http2::frame(&self.received[read..]) {
                read += length;
                self.take(frame, done)?;
            }
        } else {
            while let Some(waiting) = self.waiting.front()
                && let Some((length, answer)) = http1::answer(&self.received[read..], self.expected)
            {
                read += length;
                done.push((waiting.due, answer));
                self.waiting.pop_front();
            }
        }
        self.received.drain(..read);
        Ok(())
    }

    fn take(&mut self, frame: Frame, done: &mut Vec<(Instant, Answer)>) -> io::Result<()> {
        let (stream, end) = match frame {
            Frame::Headers { stream, end, .. } | Frame::Data { stream, end, .. } => (stream, end),
            Frame::Reset { stream } => (stream, true),
            Frame::Reply(bytes) => {
                self.unsent.extend_from_slice(&bytes);
                return self.flush();
            }
            Frame::End => return Err(ErrorKind::ConnectionAborted.into()),
            Frame::Other => return Ok(()),
        };
        let Some(index) = self.waiting.iter().position(|waiting| waiting.stream == stream) else {
            return Ok(());
        };
        let waiting = &mut self.waiting[index];
        let mut answer = None;
        match frame {
            Frame::Headers { right, .. } => waiting.right |= right,
            Frame::Data { bytes, .. } => waiting.bytes = waiting.bytes.saturating_add(bytes),
            _ => answer = Some(Answer::Broken),
        }
        if end {
            let judged = http2::judge(waiting.right, waiting.bytes, self.expected);
            done.push((waiting.due, answer.unwrap_or(judged)));
            self.waiting.remove(index);
        }
        Ok(())
    }
}
