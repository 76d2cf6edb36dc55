//! Distinguished names as text: RFC 2253, as OpenSSL and Envoy print them.

use x509_parser::der_parser::asn1_rs::{Any, BmpString, Tag};
use x509_parser::objects::oid_registry;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// `CN=client,O=Example,C=US`: the last part first. What isn't printable ASCII is escaped, so that
/// the text fits into a header.
pub(super) fn print_name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let text: Vec<String> = parts
        .iter()
        .rev()
        .map(|part| part.iter().map(print_attribute).collect::<Vec<_>>().join("+"))
        .collect();
    text.join(",")
}

fn print_attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type();
    let short = oid_registry().get(kind).map(|entry| entry.sn());
    // OpenSSL's short names.
    let kind = match short {
        Some("commonName") => "CN".to_owned(),
        Some("organizationName") => "O".to_owned(),
        Some("organizationalUnit") => "OU".to_owned(),
        Some("countryName") => "C".to_owned(),
        Some("stateOrProvinceName") => "ST".to_owned(),
        Some("localityName") => "L".to_owned(),
        Some("domainComponent") => "DC".to_owned(),
        Some("surname") => "SN".to_owned(),
        Some("givenName") => "GN".to_owned(),
        Some("userId") => "UID".to_owned(),
        Some(other) if !other.is_empty() => other.to_owned(),
        _ => kind.to_id_string(),
    };
    format!("{kind}={}", escape(&text_of(attribute.attr_value())))
}

/// The text of a value, in UTF-8; one of another kind is shown as its bytes.
fn text_of(value: &Any<'_>) -> Vec<u8> {
    if value.tag() == Tag::BmpString
        && let Ok(text) = BmpString::try_from(value)
    {
        return text.string().into_bytes();
    }
    if value.tag() == Tag::T61String {
        return value
            .data
            .iter()
            .flat_map(|byte| char::from(*byte).to_string().into_bytes())
            .collect();
    }
    value.data.to_vec()
}

/// RFC 2253 section 2.4.
fn escape(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.iter().copied().enumerate() {
        let is_edge =
            (at == 0 && matches!(byte, b' ' | b'#')) || (at + 1 == text.len() && byte == b' ');
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' ' | b'#' if is_edge => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_misread_is_escaped() {
        for (text, expected) in [
            ("plain text", "plain text"),
            ("a,b+c\"d\\e<f>g;h", "a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h"),
            ("#first # ", "\\#first #\\ "),
            ("ü\r\n", "\\C3\\BC\\0D\\0A"),
            (" ", "\\ "),
        ] {
            assert_eq!(escape(text.as_bytes()), expected, "{text:?}");
        }
    }
}
