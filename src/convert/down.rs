//! From v3alpha1 to v1 and v2.

use serde_json::{Value, json};

use super::kinds::ConvertedKind;
use super::{Fields, headers, host, id, labels, tls, up};

/// The spec in v2's words. What v2 has no word for keeps its own.
pub(super) fn spec(kind: &ConvertedKind, mut spec: Fields) -> Fields {
    id::down(&mut spec);
    if let Some(field) = kind.tls {
        tls::down(field, &mut spec);
    }
    match kind.name {
        "Mapping" => {
            host::down(&mut spec);
            headers::down(&mut spec);
            labels::down(&mut spec);
            origins(&mut spec);
        }
        "Host" => selector(&mut spec),
        _ => {}
    }
    for (legacy, current) in kind.renamed {
        up::rename(&mut spec, current, legacy);
    }
    spec
}

fn origins(spec: &mut Fields) {
    let Some(Value::Object(cors)) = spec.get_mut("cors") else { return };
    let was_text = cors.remove("v2CommaSeparatedOrigins") == Some(Value::Bool(true));
    let Some(Value::Array(origins)) = cors.get("origins") else { return };
    let texts: Option<Vec<&str>> =
        origins.iter().map(|it| it.as_str().filter(|text| !text.contains(','))).collect();
    if let (true, Some(texts)) = (was_text, texts) {
        let text = json!(texts.join(","));
        cors.insert("origins".into(), text);
    }
}

/// Of v3alpha1's two the new one counts, and its name is the only one in v2's.
fn selector(spec: &mut Fields) {
    if spec.contains_key("mappingSelector") {
        spec.remove("selector");
    }
}
