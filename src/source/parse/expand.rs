//! `$VAR` and `${VAR}` in strings, as Emissary's `os.path.expandvars` reads them.

use std::collections::BTreeMap;

use super::node::{Node, Style, Value};

/// Replaces variables in every string of a tree; keys and unknown names stay as they are.
pub(super) fn expand(node: &mut Node, environment: &BTreeMap<String, String>) {
    if environment.is_empty() {
        return;
    }
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, environment)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|entry| expand(&mut entry.value, environment));
        }
        Value::Scalar { text, style } => {
            if let Some(expanded) = expand_text(text, environment) {
                *text = expanded;
                // What comes from a variable is text, whatever it looks like.
                *style = Style::Text;
            }
        }
    }
}

/// The text with its variables replaced, or `None` where nothing is to be replaced.
fn expand_text(text: &str, environment: &BTreeMap<String, String>) -> Option<String> {
    if !text.contains('$') {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some(dollar) = rest.find('$') {
        let (before, at) = rest.split_at(dollar);
        out.push_str(before);
        let (name, length) = variable(&at[1..]);
        match name.and_then(|name| environment.get(name)) {
            Some(value) => {
                out.push_str(value);
                changed = true;
            }
            None => out.push_str(&at[..=length]),
        }
        rest = &at[1 + length..];
    }
    out.push_str(rest);
    changed.then_some(out)
}

/// The variable at the start of what follows a dollar sign, and the bytes that it takes.
fn variable(text: &str) -> (Option<&str>, usize) {
    if let Some(inner) = text.strip_prefix('{') {
        // Without a closing brace nothing is a name, and only the dollar sign is passed.
        return match inner.find('}') {
            Some(end) => (Some(&inner[..end]), end + 2),
            None => (None, 0),
        };
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    ((end > 0).then(|| &text[..end]), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_as_python_does() {
        let environment: BTreeMap<String, String> =
            [("HOST_IP", "10.0.0.1"), ("a", "$HOST_IP")].map(|(k, v)| (k.into(), v.into())).into();
        for (text, expected) in [
            ("plain", None),
            ("$HOST_IP", Some("10.0.0.1")),
            ("http://${HOST_IP}:80/$HOST_IP.", Some("http://10.0.0.1:80/10.0.0.1.")),
            ("$UNKNOWN ${UNKNOWN}", None),
            ("$UNKNOWN$HOST_IP", Some("$UNKNOWN10.0.0.1")),
            ("$HOST_IPX", None),
            ("^/a$", None),
            ("(a|b)$|c", None),
            ("${HOST_IP", None),
            ("$$HOST_IP", Some("$10.0.0.1")),
            ("$a", Some("$HOST_IP")),
            ("é$HOST_IPé", Some("é10.0.0.1é")),
        ] {
            assert_eq!(expand_text(text, &environment).as_deref(), expected, "{text}");
        }
    }
}
