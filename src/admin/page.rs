//! The diagnostics as a plain HTML page that needs no script and links to the JSON.

use std::fmt::Write;

use serde_json::Value;

const STYLE: &str = "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}\
td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left}.bad{color:#a00}";

/// The page of what [`super::diagnostics::build_page`] says.
pub(super) fn render(page: &Value) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Diagnostics</title>\
         <style>{STYLE}</style></head><body>\n<h1>Diagnostics</h1>\n"
    );
    let system = &page["system"];
    let ready = if page["ready"]["ready"] == true { "ready" } else { "not ready" };
    write_text(
        &mut out,
        "p",
        &format!(
            "Version {}, ambassador_id {}, configuration {}, {ready}.",
            text(&system["version"]),
            text(&system["ambassador_id"]),
            text(&page["generation"]),
        ),
    );
    out.push_str("<p><a href=\"?json=true\">All of it as JSON</a></p>\n");
    write_table(&mut out, "Errors", &["Object", "Message"], rows(&page["errors"], &["0", "1"]));
    write_table(&mut out, "Notices", &["Object", "Message"], rows(&page["notices"], &["0", "1"]));
    write_served(&mut out, page);
    write_memory(&mut out, &page["memory"]);
    let routes = page["route_info"].as_array().map(Vec::as_slice).unwrap_or_default();
    let routes = routes.iter().map(|route| {
        let clusters = route["clusters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let clusters: Vec<String> = clusters
            .iter()
            .map(|leg| format!("{} ({}%)", text(&leg["service"]), text(&leg["weight"])))
            .collect();
        vec![
            text(&route["match"]),
            text(&route["rewrite"]),
            clusters.join(", "),
            text(&route["key"]),
        ]
    });
    write_table(&mut out, "Routes", &["Match", "Rewrite", "Goes to", "Object"], routes.collect());
    let columns = ["key", "origin", "verdict"];
    write_table(
        &mut out,
        "Objects",
        &["Object", "Origin", "Verdict"],
        rows(&page["objects"], &columns),
    );
    out.push_str("</body></html>\n");
    out
}

/// The budget, the limits that follow from it, and what is shed now.
fn write_memory(out: &mut String, memory: &Value) {
    if memory.is_null() {
        return;
    }
    write_text(
        out,
        "p",
        &format!(
            "Memory: {} of {} bytes are in use ({} %); shedding: {}.",
            text(&memory["used_bytes"]),
            text(&memory["of_bytes"]),
            text(&memory["percent"]),
            text(&memory["shedding"]),
        ),
    );
    let limits = rows(&memory["limits"], &["name", "value", "source"]);
    write_table(out, "Limits", &["Limit", "Value", "From"], limits);
    let steps = rows(&memory["steps"], &["action", "active", "times"]);
    write_table(out, "Shedding", &["Step", "In force", "Times"], steps);
}

/// Ports, Hosts and certificates.
fn write_served(out: &mut String, page: &Value) {
    let listeners = rows(&page["listeners"], &["port", "stat_prefix", "hosts", "key", "problem"]);
    write_table(out, "Ports", &["Port", "Name", "Hosts", "Object", "Problem"], listeners);
    let hosts = rows(&page["hosts"], &["hostname", "state", "ports", "key"]);
    write_table(out, "Hosts", &["Name", "State", "Ports", "Object"], hosts);
    let secrets = page["secrets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let secrets = secrets.iter().map(|secret| {
        let certificate = &secret["holds"]["certificate"];
        let of = |name: &str| text(&certificate[name]);
        let told = [text(&secret["message"]), of("problem")].concat();
        vec![text(&secret["name"]), text(&secret["state"]), of("names"), of("not_after"), told]
    });
    let columns = ["Kept in", "State", "Names", "Until", "Problem"];
    write_table(out, "Certificates", &columns, secrets.collect());
}

/// The named members of each element; a number names a position.
fn rows(list: &Value, members: &[&str]) -> Vec<Vec<String>> {
    let elements = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let member = |element: &Value, name: &str| match name.parse::<usize>() {
        Ok(position) => text(&element[position]),
        Err(_) => text(&element[name]),
    };
    elements
        .iter()
        .map(|element| members.iter().map(|name| member(element, name)).collect())
        .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn write_table(out: &mut String, title: &str, columns: &[&str], rows: Vec<Vec<String>>) {
    write_text(out, "h2", &format!("{title} ({})", rows.len()));
    if rows.is_empty() {
        return;
    }
    out.push_str("<table><tr>");
    for column in columns {
        write_text(out, "th", column);
    }
    out.push_str("</tr>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            write_text(out, "td", &cell);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn write_text(out: &mut String, element: &str, text: &str) {
    write!(out, "<{element}>{}</{element}>", escape(text)).expect("writing to a String can't fail");
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_users_wrote_is_escaped() {
        let page = json!({ "errors": [["Mapping <b>", "a & \"b\""]], "route_info": [{
            "match": "prefix /<script>", "clusters": [{ "service": "x'y", "weight": 100 }],
        }] });
        let html = render(&page);
        assert!(
            html.contains("<td>Mapping &lt;b&gt;</td><td>a &amp; &quot;b&quot;</td>"),
            "{html}"
        );
        assert!(html.contains("<td>x&#39;y (100%)</td>"), "{html}");
        assert!(!html.contains("<script>"));
    }
}
