//! The one canonical form of a request's path.
//!
//! RFC 3986, 6.2.2 and 5.2.4, as Envoy's `normalize_path` does it: encoded unreserved characters
//! are decoded, other encodings are written in upper case, dot segments are removed, and a
//! backslash is a slash. Encoded slashes stay encoded, so that they never become separators.

use std::borrow::Cow;

/// A path that was normalised once at the edge, and is used by matching, logs and forwarding alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a>(Cow<'a, str>);

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It doesn't begin with a slash.
    #[error("the path must begin with a slash")]
    NotAbsolute,
    /// It holds an encoded NUL, which no server reads the same way.
    #[error("the path must not hold an encoded NUL")]
    Nul,
}

impl<'a> CanonicalPath<'a> {
    /// Normalises a raw path (without its query). Costs no allocation where nothing changes.
    ///
    /// # Errors
    /// The path doesn't begin with a slash or holds an encoded NUL.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        if !raw.starts_with(['/', '\\']) {
            return Err(PathError::NotAbsolute);
        }
        let decoded = decode_unreserved(raw)?;
        Ok(Self(match has_dot_segment(&decoded) {
            true => Cow::Owned(remove_dot_segments(&decoded)),
            false => decoded,
        }))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it holds an encoded slash or backslash.
    pub fn has_escaped_slash(&self) -> bool {
        self.0.contains("%2F") || self.0.contains("%5C")
    }

    /// The path with one slash where several follow each other.
    #[must_use]
    pub fn merge_slashes(self) -> Self {
        if !self.0.contains("//") {
            return self;
        }
        let mut out = String::with_capacity(self.0.len());
        for c in self.0.chars() {
            if c != '/' || !out.ends_with('/') {
                out.push(c);
            }
        }
        Self(Cow::Owned(out))
    }

    /// Whether the raw path had this form already.
    pub fn is_unchanged(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }
}

/// One pass over the bytes: encodings and backslashes.
fn decode_unreserved(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let Some(start) = raw.find(['%', '\\']) else { return Ok(Cow::Borrowed(raw)) };
    let mut out = String::with_capacity(raw.len());
    out.push_str(&raw[..start]);
    let mut rest = &raw[start..];
    while let Some(c) = rest.chars().next() {
        let (piece, after) = rest.split_at(c.len_utf8());
        rest = after;
        match (c, c == '%', encoded_byte(after)) {
            ('\\', _, _) => out.push('/'),
            (_, true, Some(0)) => return Err(PathError::Nul),
            (_, true, Some(byte)) => {
                match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    true => out.push(char::from(byte)),
                    false => {
                        out.push('%');
                        out.push_str(&after[..2].to_ascii_uppercase());
                    }
                }
                rest = &after[2..];
            }
            _ => out.push_str(piece),
        }
    }
    Ok(if out == raw { Cow::Borrowed(raw) } else { Cow::Owned(out) })
}

/// The byte that two hexadecimal digits at the beginning of a text stand for.
fn encoded_byte(text: &str) -> Option<u8> {
    let digits = text.get(..2)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
}

fn has_dot_segment(path: &str) -> bool {
    path.contains("/.") && path.split('/').any(|segment| segment == "." || segment == "..")
}

/// RFC 3986, 5.2.4. Empty segments stay: `//` is merged only on demand, never silently.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &str) -> Result<String, PathError> {
        CanonicalPath::parse(raw).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn one_form_for_all_spellings() {
        let rows = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/a/%2e%2e/b", "/b"),
            ("/%7Euser", "/~user"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a\\..\\b", "/b"),
            ("/a//b", "/a//b"),
            ("//..//a", "//a"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/...", "/a/..."),
            ("/é", "/é"),
        ];
        for (raw, expected) in rows {
            assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn what_has_no_one_reading_is_refused() {
        assert_eq!(CanonicalPath::parse("a/b"), Err(PathError::NotAbsolute));
        assert_eq!(CanonicalPath::parse("*"), Err(PathError::NotAbsolute));
        assert_eq!(CanonicalPath::parse("/a%00b"), Err(PathError::Nul));
    }

    #[test]
    fn slashes() {
        for (raw, merged, escaped) in [
            ("/a/b", "/a/b", false),
            ("//a///b//", "/a/b/", false),
            ("/a%2fb", "/a%2Fb", true),
            ("/a%5cb", "/a%5Cb", true),
            ("/a%252Fb", "/a%252Fb", false),
            ("/a/%2F/b", "/a/%2F/b", true),
            ("/a//../b", "/a/b", false),
            ("/a\\\\b", "/a/b", false),
        ] {
            let path = CanonicalPath::parse(raw).expect("a path");
            assert_eq!(path.has_escaped_slash(), escaped, "{raw}");
            assert_eq!(path.merge_slashes().as_str(), merged, "{raw}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_form_is_stable(raw in "/[a-c./%2eEfF5\\\\é]{0,24}") {
            if let Ok(once) = CanonicalPath::parse(&raw) {
                // `%252e` decodes to `%2e` only if `%25` were decoded, which it isn't.
                let twice = canonical(once.as_str());
                proptest::prop_assert_eq!(twice.as_deref(), Ok(once.as_str()));
                proptest::prop_assert!(!has_dot_segment(once.as_str()));
            }
        }
    }
}
