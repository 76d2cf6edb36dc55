//! `gzip`: how answers are compressed.

use std::sync::Arc;

use crate::model::object::Severity;
use crate::model::policy::Compression;

use super::keys::GZIP;
use crate::source::parse::fields::{Field, Problems};
use crate::source::parse::read::{read_choice, read_flag, read_int, read_words, tell_keys};

/// Envoy's default of `min_content_length`.
const MIN_LENGTH: u32 = 30;

/// Envoy's default of `window_bits`.
const WINDOW_BITS: u8 = 12;

/// Envoy's default of `content_type`.
const CONTENT_TYPES: &[&str] = &[
    "application/javascript",
    "application/json",
    "application/xhtml+xml",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/plain",
    "text/xml",
];

/// Emissary's words for the level: `None` is the library's own.
const LEVELS: &[(&str, Option<u8>)] = &[
    ("default", None),
    ("DEFAULT", None),
    ("DEFAULT_COMPRESSION", None),
    ("best", Some(9)),
    ("BEST", Some(9)),
    ("BEST_COMPRESSION", Some(9)),
    ("speed", Some(1)),
    ("SPEED", Some(1)),
    ("BEST_SPEED", Some(1)),
];

/// What `gzip` asks for; an empty map turns it on as it is.
pub(super) fn parse_compression(field: &Field<'_>, problems: &mut Problems) -> Option<Compression> {
    if field.node.as_map().is_none() {
        let message = format!(
            "expected a map, found {}; write {{}} to compress with the defaults",
            field.node.describe()
        );
        problems.add(Severity::Warning, field, message);
        return None;
    }
    tell_keys(field, GZIP, problems);
    let flag = |name: &str, problems: &mut Problems| {
        field.child(name).and_then(|child| read_flag(&child, problems)).unwrap_or(false)
    };
    let min_length = field.child("min_content_length");
    let min_length = min_length.and_then(|child| read_int(&child, 0..=u32::MAX, "bytes", problems));
    let window = field.child("window_bits");
    let window = window.and_then(|child| read_int(&child, 9..=15, "bits", problems));
    let level = field.child("compression_level");
    let level = level.and_then(|child| parse_level(&child, problems));
    let content_types = match field.child("content_type") {
        Some(child) => parse_types(&child, problems),
        None => Vec::new(),
    };
    Some(Compression {
        min_length: min_length.unwrap_or(MIN_LENGTH).into(),
        level: level.flatten(),
        content_types: match content_types.is_empty() {
            true => CONTENT_TYPES.iter().map(|kind| Arc::from(*kind)).collect(),
            false => content_types,
        },
        skip_etag: flag("disable_on_etag_header", problems),
        remove_accept_encoding: flag("remove_accept_encoding_header", problems),
        brotli: flag("brotli", problems),
        zstd: flag("zstd", problems),
        window_bits: window.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(WINDOW_BITS),
    })
}

/// One of the words, a number, or a number as Envoy writes it: `COMPRESSION_LEVEL_5`.
fn parse_level(field: &Field<'_>, problems: &mut Problems) -> Option<Option<u8>> {
    let text = field.node.as_text().unwrap_or_default();
    let upper = text.to_ascii_uppercase();
    let digits = upper.strip_prefix("COMPRESSION_").unwrap_or(&upper);
    let digits = digits.strip_prefix("LEVEL_").unwrap_or(digits);
    if let Ok(level @ 1..=9) = digits.parse::<u8>() {
        return Some(Some(level));
    }
    if LEVELS.iter().any(|(word, _)| *word == text) {
        return read_choice(field, LEVELS, problems);
    }
    let shown = field.node.as_text().unwrap_or(field.node.describe());
    let message = format!("{shown} is ignored; write best, speed, default, or level_1 to level_9");
    problems.add(Severity::Warning, field, message);
    None
}

/// Types in lower case, without parameters.
fn parse_types(field: &Field<'_>, problems: &mut Problems) -> Vec<Arc<str>> {
    let mut types = Vec::new();
    for (text, item) in read_words(field, problems) {
        let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.split_once('/') {
            Some((a, b)) if !a.is_empty() && !b.is_empty() => types.push(kind.into()),
            _ => {
                let message = format!("\"{text}\" is no content type; write one like text/html");
                problems.add(Severity::Warning, &item, message);
            }
        }
    }
    types
}
