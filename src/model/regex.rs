//! Regular expressions in RE2's dialect, on the `regex` crate, which shares RE2's linear time.
//!
//! The two dialects differ in a few places, all handled here: RE2's `\d \w \s \b` are ASCII,
//! `\Q…\E` quotes, and within brackets `[`, `&&`, `--` and `~~` have no meaning of their own.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

/// Compiled programs larger than this are refused, so that no tenant can fill the memory.
const SIZE_LIMIT: usize = 1 << 20;

/// RE2 refuses counted repetitions above this.
const MAX_REPETITION: u32 = 1000;

/// A compiled expression. Two are equal if their texts and anchoring are.
#[derive(Clone)]
pub struct Regex(Arc<Compiled>);

/// Kept apart, because most matches have no expression, and each has room for several.
struct Compiled {
    source: Box<str>,
    anchored: bool,
    compiled: regex::Regex,
}

/// Why an expression can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// `\C` matches a single byte, which can't be done on text.
    #[error("\\C (any byte) is not supported; write . instead")]
    AnyByte,
    /// A repetition count above 1000.
    #[error("repetition count {0} is above {MAX_REPETITION}")]
    Repetition(u32),
    /// Too large when compiled.
    #[error("the expression is too large when compiled (limit {SIZE_LIMIT} bytes)")]
    TooLarge,
    /// Not a regular expression.
    #[error("{0}")]
    Syntax(String),
}

impl Regex {
    /// An expression that must match all of a text, as Envoy's matchers do.
    pub fn full(source: &str) -> Result<Self, RegexError> {
        Self::compile(source, true)
    }

    /// An expression that is searched in a text, as Envoy's regex rewrites do.
    pub fn search(source: &str) -> Result<Self, RegexError> {
        Self::compile(source, false)
    }

    fn compile(source: &str, anchored: bool) -> Result<Self, RegexError> {
        let translated = translate(source)?;
        let build = |text: &str| regex::RegexBuilder::new(text).size_limit(SIZE_LIMIT).build();
        // The bare text first, so that `a)(b` can't become valid by being wrapped.
        let bare = build(&translated).map_err(|error| explain(&error))?;
        let compiled = match anchored {
            true => build(&format!(r"\A(?:{translated})\z")).map_err(|error| explain(&error))?,
            false => bare,
        };
        Ok(Self(Arc::new(Compiled { source: source.into(), anchored, compiled })))
    }

    /// The text as the author wrote it.
    pub fn as_str(&self) -> &str {
        &self.0.source
    }

    /// Whether the text matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.compiled.is_match(text)
    }

    /// The number of capturing groups, the whole match not counted.
    pub fn groups(&self) -> usize {
        self.0.compiled.captures_len() - 1
    }

    /// Calls `replace` for each match and returns the text with the replacements, or `None`
    /// where nothing matched.
    pub fn replace_all(
        &self,
        text: &str,
        mut replace: impl FnMut(&dyn Fn(usize) -> Option<String>, &mut String),
    ) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for captures in self.0.compiled.captures_iter(text) {
            let whole = captures.get(0)?;
            out.push_str(&text[end..whole.start()]);
            replace(&|group| captures.get(group).map(|m| m.as_str().to_owned()), &mut out);
            end = whole.end();
        }
        (end > 0 || !out.is_empty()).then(|| {
            out.push_str(&text[end..]);
            out
        })
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.0.source)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Regex {}

impl PartialOrd for Regex {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Regex {
    fn cmp(&self, other: &Self) -> Ordering {
        (&*self.0.source, self.0.anchored).cmp(&(&*other.0.source, other.0.anchored))
    }
}

impl Hash for Regex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.source.hash(state);
        self.0.anchored.hash(state);
    }
}

fn explain(error: &regex::Error) -> RegexError {
    match error {
        regex::Error::CompiledTooBig(_) => RegexError::TooLarge,
        // The crate's message is a drawing of several lines; its last one says what is wrong.
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or("not a regular expression");
            RegexError::Syntax(last.trim_start_matches("error: ").to_owned())
        }
    }
}

/// RE2's text → the `regex` crate's.
fn translate(source: &str) -> Result<String, RegexError> {
    let mut out = String::with_capacity(source.len() + 16);
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => translate_escape(&mut chars, &mut out, false)?,
            '[' => translate_class(&mut chars, &mut out)?,
            '{' => {
                check_repetition(chars.clone())?;
                out.push(c);
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// What follows a backslash, outside (`in_class` false) or inside brackets.
fn translate_escape(
    chars: &mut Peekable<Chars<'_>>,
    out: &mut String,
    in_class: bool,
) -> Result<(), RegexError> {
    let Some(c) = chars.next() else {
        out.push('\\'); // left to the compiler, which says it best
        return Ok(());
    };
    let ascii = match c {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\t\n\x0C\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => r"^\t\n\x0C\r ",
        _ => "",
    };
    match c {
        _ if !ascii.is_empty() => {
            out.push('[');
            out.push_str(ascii);
            out.push(']');
        }
        'b' if !in_class => out.push_str(r"(?-u:\b)"),
        'C' => return Err(RegexError::AnyByte),
        'Q' => quote(chars, out),
        other => {
            out.push('\\');
            out.push(other);
        }
    }
    Ok(())
}

/// The text up to `\E` (or the end), taken literally.
fn quote(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            return;
        }
        let mut buffer = [0; 4];
        out.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
    }
}

/// The inside of brackets, whose `[` has been read.
fn translate_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), RegexError> {
    out.push('[');
    if chars.peek() == Some(&'^') {
        out.extend(chars.next());
    }
    if chars.peek() == Some(&']') {
        chars.next();
        out.push_str(r"\]");
    }
    while let Some(c) = chars.next() {
        match c {
            ']' => {
                out.push(']');
                return Ok(());
            }
            '\\' => translate_escape(chars, out, true)?,
            '[' if chars.peek() == Some(&':') => copy_posix_class(chars, out),
            '[' => out.push_str(r"\["),
            '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            // A range keeps its minus; two in a row would be a difference of sets.
            '-' if chars.peek() == Some(&'-') => out.push_str(r"\-"),
            other => out.push(other),
        }
    }
    Ok(())
}

/// `[:name:]`, whose `[` has been read.
fn copy_posix_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    for c in chars.by_ref() {
        out.push(c);
        if c == ']' {
            return;
        }
    }
}

fn check_repetition(chars: Peekable<Chars<'_>>) -> Result<(), RegexError> {
    let inside: String = chars.take_while(|c| *c != '}').take(32).collect();
    let counts = inside.split(',').filter_map(|count| count.trim().parse::<u32>().ok());
    match counts.max() {
        Some(count) if count > MAX_REPETITION => Err(RegexError::Repetition(count)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_is_re2s() {
        let rows: &[(&str, &str, bool)] = &[
            ("/foo", "/foo", true),
            ("/foo", "/foobar", false),
            ("/a|/b", "/b", true),
            (r"/\d+", "/42", true),
            (r"/\d+", "/٤", false),
            (r"/\w+", "/é", false),
            (r"\Q/a.b\E.*", "/a.bc", true),
            (r"\Q/a.b\E", "/axb", false),
            (r"[[a]+", "[a", true),
            (r"[a&&b]+", "a&b", true),
            (r"[]a]+", "]a", true),
            (r"[[:alpha:]]+", "abc", true),
            (r"/\bfoo\b", "/foo", true),
            (r"[^/]+", "a-b", true),
            (r"[\w-]+", "a-b", true),
            (r"(?i)/FOO", "/foo", true),
        ];
        for (source, text, expected) in rows {
            let regex = Regex::full(source).unwrap_or_else(|e| panic!("{source}: {e}"));
            assert_eq!(regex.is_match(text), *expected, "{source} on {text}");
        }
    }

    #[test]
    fn what_can_not_work_is_told() {
        assert!(matches!(Regex::full("/foo("), Err(RegexError::Syntax(_))));
        assert!(matches!(Regex::full("a)(b"), Err(RegexError::Syntax(_))));
        assert!(matches!(Regex::full("(?!x)"), Err(RegexError::Syntax(_))));
        assert_eq!(Regex::full(r"\C"), Err(RegexError::AnyByte));
        assert_eq!(Regex::full("a{1001}"), Err(RegexError::Repetition(1001)));
        assert_eq!(Regex::full("(?:(?:a{1000}){100}){100}"), Err(RegexError::TooLarge));
    }

    #[test]
    fn replaces_each_match() {
        let regex = Regex::search("a(b?)").expect("valid");
        let swap = |text: &str| {
            regex.replace_all(text, |group, out| {
                out.push('<');
                out.push_str(&group(1).unwrap_or_default());
                out.push('>');
            })
        };
        assert_eq!(swap("xabya").as_deref(), Some("x<b>y<>"));
        assert_eq!(swap("xyz"), None);
    }
}
