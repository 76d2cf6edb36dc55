//! Answers of HTTP/1.1, as far as they must be understood to know where they end and that they are
//! right.

use crate::connection::Answer;

const MAX_HEADERS: usize = 64;

/// A request's bytes; `close` asks the server to end the connection after it.
pub(crate) fn request(path: &str, host: &str, close: bool) -> Vec<u8> {
    let close = if close { "connection: close\r\n" } else { "" };
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{close}\r\n").into_bytes()
}

/// The first answer in `bytes` and how long it is; None where it isn't whole yet. What can't be
/// read, has no length or isn't a 200 with a body of `expected` bytes is a wrong answer.
pub(crate) fn answer(bytes: &[u8], expected: usize) -> Option<(usize, Answer)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(parsed) = head.parse(bytes) else { return Some((bytes.len(), Answer::Wrong)) };
    let httparse::Status::Complete(head_length) = parsed else { return None };
    let length = head.headers.iter().find_map(|header| {
        let named = header.name.eq_ignore_ascii_case("content-length");
        named.then(|| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok()).flatten()
    });
    let Some(length) = length else { return Some((bytes.len(), Answer::Wrong)) };
    let right = head.code == Some(200) && length == expected;
    let whole = head_length + length;
    (bytes.len() >= whole).then_some((whole, if right { Answer::Right } else { Answer::Wrong }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_their_length_says() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP";
        assert_eq!(answer(text, 3), Some((41, Answer::Right)));
        assert_eq!(answer(&text[..40], 3), None);
        assert_eq!(answer(text, 4), Some((41, Answer::Wrong)));
        let failed = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(answer(failed, 0), Some((failed.len(), Answer::Wrong)));
        assert_eq!(answer(b"nonsense\r\n\r\n", 0), Some((12, Answer::Wrong)));
    }
}
