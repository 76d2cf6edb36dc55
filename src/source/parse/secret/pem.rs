//! PEM texts: what is in them, and what else they are, where they are none.

use rustls::pki_types::pem::{Error, PemObject, SectionKind};

/// What begins every section.
const BEGIN: &str = "-----BEGIN ";
/// PEM as it begins when it was encoded in base64 once more.
const BEGIN_TWICE: &[u8] = b"LS0tLS1CRUdJTi";
/// A label longer than this is no label: its text isn't shown.
const LONGEST_LABEL: usize = 30;

/// Why a text is not the PEM that is looked for. Holds nothing of it but labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PemError {
    #[error("is empty")]
    Empty,
    #[error("is encoded in base64 twice: encode the PEM text once, or write it below stringData")]
    Twice,
    #[error("is DER and not PEM: convert it with openssl, -inform DER -outform PEM")]
    Der,
    #[error("is not PEM: it has to begin with {BEGIN}{wanted}-----")]
    NotPem { wanted: &'static str },
    #[error("is cut off: its last -----END line is missing")]
    NoEnd,
    #[error("has a broken -----BEGIN line")]
    BrokenBegin,
    #[error("is damaged: what stands between its BEGIN and END lines is not base64")]
    NotBase64,
    #[error("holds {found}, but no {wanted}")]
    Other { found: String, wanted: &'static str },
}

/// All sections that are understood, in the order of the text; at least one of them is of one of
/// the kinds that `wanted` names.
pub(super) fn sections(
    bytes: &[u8],
    kinds: &[SectionKind],
    wanted: &'static str,
) -> Result<Vec<Vec<u8>>, PemError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(PemError::Empty);
    }
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let (kind, der) = section.map_err(|error| match error {
            Error::MissingSectionEnd { .. } => PemError::NoEnd,
            Error::IllegalSectionStart { .. } => PemError::BrokenBegin,
            _ => PemError::NotBase64,
        })?;
        if kinds.contains(&kind) {
            found.push(der);
        }
    }
    match found.is_empty() {
        true => Err(describe(bytes, wanted)),
        false => Ok(found),
    }
}

/// What a text is that holds nothing of what is wanted.
fn describe(bytes: &[u8], wanted: &'static str) -> PemError {
    if bytes.trim_ascii_start().starts_with(BEGIN_TWICE) {
        return PemError::Twice;
    }
    let found = labels(bytes);
    if !found.is_empty() {
        return PemError::Other { found: found.join(", "), wanted };
    }
    // A sequence whose length takes two bytes: what every certificate and key begins with.
    match bytes.starts_with(&[0x30, 0x82]) || bytes.starts_with(&[0x30, 0x81]) {
        true => PemError::Der,
        false => PemError::NotPem { wanted },
    }
}

/// Whether a text holds a section of this label.
pub(super) fn has_label(bytes: &[u8], label: &str) -> bool {
    labels(bytes).contains(&label)
}

/// The labels of all sections, each once; whatever doesn't look like one is left out.
fn labels(bytes: &[u8]) -> Vec<&str> {
    let mut found = Vec::new();
    for line in bytes.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let label = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.strip_prefix(BEGIN)?.trim_end().strip_suffix("-----"));
        let Some(label) = label.filter(|label| label.len() <= LONGEST_LABEL) else { continue };
        let is_label =
            label.bytes().all(|b| b.is_ascii_uppercase() || b == b' ' || b.is_ascii_digit());
        if is_label && !found.contains(&label) {
            found.push(label);
        }
    }
    found
}
