//! `tls` and the scheme of the upstream. In v2, `tls` is a boolean or a TLSContext's name, and
//! `true` asks for TLS whatever the scheme; in v3alpha1 the scheme alone does.
//!
//! `v2ExplicitTLS` is Emissary's crumb: how `tls` was written, and the scheme that `https://` stands
//! in for.

use serde_json::{Value, json};

use super::Fields;
use super::kinds::TlsField;

const TLS: &str = "tls";
const EXPLICIT: &str = "v2ExplicitTLS";
const HTTPS: &str = "https://";
const HTTP: &str = "http://";

/// An upstream as far as its scheme goes.
struct Upstream<'a> {
    scheme: &'a str,
    rest: &'a str,
}

impl<'a> Upstream<'a> {
    fn of(text: &'a str) -> Self {
        let begins = |scheme: &&str| {
            text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        let length = [HTTPS, HTTP].iter().find(|scheme| begins(scheme)).map_or(0, |it| it.len());
        let (scheme, rest) = text.split_at(length);
        Self { scheme, rest }
    }

    fn is_tls(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(HTTPS)
    }
}

pub(super) fn up(field: TlsField, spec: &mut Fields) {
    let name = field.name();
    let Some(Value::String(written)) = spec.get(name) else { return };
    let upstream = Upstream::of(written);
    // The scheme of a TCPMapping has no meaning in v2.
    let (scheme, is_tls) = match field {
        TlsField::Http(_) => (upstream.scheme, upstream.is_tls()),
        TlsField::Tcp(_) => ("", false),
    };
    let (how, wants_tls) = match spec.get(TLS) {
        None => (None, false),
        Some(Value::Bool(true)) => (Some("bool:true"), true),
        Some(Value::Bool(false)) => (Some("bool:false"), false),
        Some(Value::String(context)) if context.is_empty() => (Some("string"), false),
        Some(Value::Null) => (Some("null"), false),
        // The name of a TLSContext, or something that nobody understands: the same in both.
        Some(_) => return,
    };
    let mut explicit = Fields::new();
    if let Some(how) = how {
        explicit.insert("tls".into(), json!(how));
    }
    let service = if wants_tls && !is_tls {
        if matches!(field, TlsField::Http(_)) {
            explicit.insert("serviceScheme".into(), json!(scheme));
        }
        format!("{HTTPS}{}", upstream.rest)
    } else {
        match field {
            TlsField::Http(_) => written.clone(),
            TlsField::Tcp(_) => upstream.rest.to_owned(),
        }
    };
    spec.insert(name.into(), Value::String(service));
    spec.remove(TLS);
    if !explicit.is_empty() {
        spec.insert(EXPLICIT.into(), Value::Object(explicit));
    }
}

pub(super) fn down(field: TlsField, spec: &mut Fields) {
    let explicit = spec.remove(EXPLICIT).unwrap_or_default();
    let name = field.name();
    let Some(Value::String(written)) = spec.get(name) else { return };
    match spec.get(TLS) {
        None => {}
        // In v3alpha1 it says nothing.
        Some(Value::String(context)) if context.is_empty() => {}
        Some(_) => return,
    }
    let upstream = Upstream::of(written);
    let is_tls = upstream.is_tls();
    let how = explicit["tls"].as_str().unwrap_or_default();
    let bare = upstream.rest.to_owned();
    let with_scheme = |scheme: &str| format!("{scheme}{bare}");
    let (tls, service) = match (field, how) {
        (TlsField::Tcp(_), _) if is_tls => (Some(json!(true)), bare),
        (TlsField::Http(_), "bool:true") if is_tls => {
            let scheme = explicit["serviceScheme"].as_str().filter(|scheme| is_scheme(scheme));
            (Some(json!(true)), scheme.map_or_else(|| written.clone(), with_scheme))
        }
        (_, how) => {
            let tls = match how {
                "bool:false" => Some(json!(false)),
                "string" => Some(json!("")),
                "null" => Some(Value::Null),
                _ => None,
            };
            let service = match field {
                TlsField::Http(_) => written.clone(),
                TlsField::Tcp(_) => bare,
            };
            (tls, service)
        }
    };
    spec.insert(name.into(), Value::String(service));
    match tls {
        Some(tls) => spec.insert(TLS.into(), tls),
        None => spec.remove(TLS),
    };
}

fn is_scheme(text: &str) -> bool {
    Upstream::of(text).rest.is_empty()
}

impl TlsField {
    /// The field's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http(name) | Self::Tcp(name) => name,
        }
    }
}
