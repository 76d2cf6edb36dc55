//! The PROXY protocol, versions 1 and 2: who a proxy before us says that the client is.
//!
//! The header is found and bounded here, and read by `ppp`. Not a byte behind it is touched.

use std::net::SocketAddr;

use ppp::{v1, v2};

/// Section 2.1: the longest line there is.
const V1_MAX: usize = 107;
/// Section 2.2: what a binary header begins with.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Up to the length, which says how much follows.
const V2_FIXED: usize = 16;
/// Addresses and what proxies add (TLVs); those of clouds take some hundred bytes.
const V2_MAX: usize = V2_FIXED + 4096;
const V1_PREFIX: &[u8; 6] = b"PROXY ";

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The beginning of a header.
    Incomplete,
    /// A header of that many bytes, and the addresses that it tells.
    Complete(usize, Option<Addresses>),
    /// None.
    Malformed,
}

/// Both ends of the connection that the proxy accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The client.
    pub(crate) peer: SocketAddr,
    /// What it connected to.
    pub(crate) local: SocketAddr,
}

/// Reads a header at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    if begins(bytes, V2_SIGNATURE) {
        return parse_v2(bytes);
    }
    if begins(bytes, V1_PREFIX) {
        return parse_v1(bytes);
    }
    Parsed::Malformed
}

/// Whether the bytes begin with `prefix`, as far as they go.
fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    let length = bytes.len().min(prefix.len());
    bytes[..length] == prefix[..length]
}

fn parse_v1(bytes: &[u8]) -> Parsed {
    let window = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_MAX { Parsed::Incomplete } else { Parsed::Malformed };
    };
    let length = end + 2;
    let addresses = match v1::Header::try_from(&window[..length]).map(|header| header.addresses) {
        Ok(v1::Addresses::Tcp4(tcp)) => Some(Addresses {
            peer: (tcp.source_address, tcp.source_port).into(),
            local: (tcp.destination_address, tcp.destination_port).into(),
        }),
        Ok(v1::Addresses::Tcp6(tcp)) => Some(Addresses {
            peer: (tcp.source_address, tcp.source_port).into(),
            local: (tcp.destination_address, tcp.destination_port).into(),
        }),
        Ok(v1::Addresses::Unknown) => None,
        Err(_) => return Parsed::Malformed,
    };
    Parsed::Complete(length, addresses)
}

fn parse_v2(bytes: &[u8]) -> Parsed {
    let Some(fixed) = bytes.get(..V2_FIXED) else { return Parsed::Incomplete };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > V2_MAX {
        return Parsed::Malformed;
    }
    let Some(header) = bytes.get(..length) else { return Parsed::Incomplete };
    let Ok(header) = v2::Header::try_from(header) else { return Parsed::Malformed };
    // A proxy's own connection (a health check) is what its socket says it is.
    if header.command == v2::Command::Local {
        return Parsed::Complete(length, None);
    }
    let addresses = match (header.protocol, header.addresses) {
        (v2::Protocol::Datagram, _) => return Parsed::Malformed,
        (_, v2::Addresses::IPv4(tcp)) => Some(Addresses {
            peer: (tcp.source_address, tcp.source_port).into(),
            local: (tcp.destination_address, tcp.destination_port).into(),
        }),
        (_, v2::Addresses::IPv6(tcp)) => Some(Addresses {
            peer: (tcp.source_address, tcp.source_port).into(),
            local: (tcp.destination_address, tcp.destination_port).into(),
        }),
        (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
    };
    Parsed::Complete(length, addresses)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(peer: &str, local: &str) -> Option<Addresses> {
        Some(Addresses { peer: peer.parse().unwrap(), local: local.parse().unwrap() })
    }

    fn v2_header(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        header.extend(payload);
        header
    }

    #[test]
    fn version_1() {
        for (text, expected) in [
            ("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n", addresses("1.2.3.4:9", "5.6.7.8:10")),
            ("PROXY TCP6 ::1 ::2 9 10\r\n", addresses("[::1]:9", "[::2]:10")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ff ff 1 2\r\n", None),
        ] {
            let bytes = [text.as_bytes(), b"\xff\r\nGET /"].concat();
            assert_eq!(parse(&bytes), Parsed::Complete(text.len(), expected), "{text}");
            for cut in 0..text.len() {
                assert_eq!(parse(&bytes[..cut]), Parsed::Incomplete, "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn version_2() {
        let v4 = [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10];
        let with_tlv = [&v4[..], &[0x04, 0, 1, 42]].concat();
        for (header, expected) in [
            (v2_header(1, 0x11, &v4), addresses("1.2.3.4:9", "5.6.7.8:10")),
            (v2_header(1, 0x11, &with_tlv), addresses("1.2.3.4:9", "5.6.7.8:10")),
            (v2_header(0, 0x11, &v4), None),
            (v2_header(0, 0x00, &[]), None),
            (v2_header(1, 0x00, &[]), None),
        ] {
            let bytes = [&header[..], b"GET /"].concat();
            assert_eq!(parse(&bytes), Parsed::Complete(header.len(), expected), "{header:?}");
            for cut in 0..header.len() {
                assert_eq!(parse(&bytes[..cut]), Parsed::Incomplete, "{header:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_none() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(120));
        let huge = [&V2_SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\n".as_slice(),
            b"\x16\x03\x01\x02\x00",
            b"proxy TCP4 1.2.3.4 5.6.7.8 9 10\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 9 99999\r\n",
            b"PROXY TCP4 ::1 ::2 9 10\r\n",
            b"PROXY UDP4 1.2.3.4 5.6.7.8 9 10\r\n",
            long.as_bytes(),
            &huge,
            // A datagram, a short address, a version that doesn't exist.
            &v2_header(1, 0x12, &[0; 12]),
            &v2_header(1, 0x11, &[0; 4]),
            &[&V2_SIGNATURE[..], &[0x31, 0x11, 0, 0]].concat(),
        ] {
            assert_eq!(parse(bytes), Parsed::Malformed, "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..200), v2 in any::<bool>()) {
            let start: &[u8] = if v2 { V2_SIGNATURE } else { V1_PREFIX };
            for bytes in [bytes.clone(), [start, &bytes].concat()] {
                match parse(&bytes) {
                    Parsed::Complete(length, _) => prop_assert!(length <= bytes.len()),
                    Parsed::Incomplete => prop_assert!(bytes.len() < V2_MAX),
                    Parsed::Malformed => {}
                }
            }
        }
    }
}
