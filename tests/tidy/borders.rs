//! Which module may name which: the dependency table of ARCHITECTURE.md, executable.

use crate::assert_tidy;
use crate::text::{SourceFile, production_files};

/// What one module may name.
struct Border {
    module: &'static str,
    /// Modules of ours, itself aside. `*` is all.
    ours: &'static [&'static str],
    /// The crates that it may name; all others are refused. `*` is all.
    crates: &'static [&'static str],
    /// Crates and paths that it must not name, although `crates` would let it.
    never: &'static [&'static str],
}

/// What makes a result depend on something else than the arguments.
const IMPURE: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "std::env",
    "std::fs",
    "std::io",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::thread",
];

const ALL: &[&str] = &["*"];

const BORDERS: &[Border] = &[
    Border { module: "convert", ours: &[], crates: &["serde_json", "thiserror"], never: IMPURE },
    Border {
        module: "crd",
        ours: &["convert"],
        crates: &["kube", "k8s_openapi", "schemars", "serde", "serde_json", "serde_saphyr"],
        never: IMPURE,
    },
    Border {
        module: "model",
        ours: &[],
        crates: &["http", "ipnet", "regex", "thiserror", "hashbrown", "foldhash", "smallvec"],
        never: IMPURE,
    },
    Border {
        module: "routing",
        ours: &["model"],
        crates: &["http", "regex", "thiserror", "hashbrown", "foldhash", "smallvec"],
        never: IMPURE,
    },
    Border {
        module: "source",
        ours: &["convert", "crd", "model"],
        crates: ALL,
        // rustls as far as it says whether a key can be used: nothing is served here.
        never: &[
            "axum",
            "hyper",
            "tower",
            "tokio_rustls",
            "rustls::client",
            "rustls::server",
            "rustls::ClientConfig",
            "rustls::ServerConfig",
            "clap",
        ],
    },
    Border {
        module: "publish",
        ours: &["routing", "model"],
        crates: &["parking_lot"],
        never: IMPURE,
    },
    Border {
        module: "proxy",
        ours: &["publish", "routing", "model", "telemetry"],
        crates: ALL,
        never: &["kube", "kube_runtime", "k8s_openapi", "schemars", "clap", "publish::Publisher"],
    },
    Border {
        module: "controller",
        ours: &["source", "model", "routing", "publish", "telemetry"],
        crates: ALL,
        // hyper is how one replica listens to another.
        never: &["axum", "clap"],
    },
    Border {
        module: "admission",
        ours: &["convert", "source", "model"],
        crates: ALL,
        never: &["clap"],
    },
    Border { module: "migrate", ours: &["convert"], crates: ALL, never: &["clap"] },
    Border {
        module: "admin",
        ours: &[
            "publish",
            "controller",
            "source",
            "model",
            "routing",
            "proxy",
            "telemetry",
            "settings",
        ],
        crates: ALL,
        never: &["publish::Publisher", "kube", "kube_runtime", "clap"],
    },
    Border {
        module: "telemetry",
        ours: &["publish", "routing", "model"],
        crates: ALL,
        never: &["kube", "hyper", "axum", "publish::Publisher"],
    },
    Border {
        module: "settings",
        ours: &["model", "source", "proxy", "telemetry"],
        crates: ALL,
        never: &["std::env"],
    },
    Border { module: "app", ours: ALL, crates: ALL, never: &[] },
    Border { module: "cli", ours: ALL, crates: ALL, never: &[] },
];

/// Roots of a crate: they list modules and hold no code.
const ROOTS: &[&str] = &["lib", "main"];

#[test]
fn modules_name_only_what_they_may() {
    let crates = dependencies();
    let mut violations = Vec::new();
    for file in production_files() {
        let module = module_of(&file.path);
        match BORDERS.iter().find(|border| border.module == module) {
            Some(border) => check(border, &file, &crates, &mut violations),
            None if ROOTS.contains(&module) => {}
            None => violations.push(format!("{}: module `{module}` has no row", file.path)),
        }
    }
    assert_tidy("the dependency table (tests/tidy/borders.rs, ARCHITECTURE.md)", &violations);
}

fn check(border: &Border, file: &SourceFile, crates: &[String], violations: &mut Vec<String>) {
    for (line, path) in paths(file) {
        let first = path.split("::").next().unwrap_or_default();
        let refused = match path.strip_prefix("crate::") {
            Some(rest) => {
                let own = rest.split("::").next().unwrap_or_default();
                own != border.module && !(border.ours.contains(&"*") || border.ours.contains(&own))
            }
            None => {
                crates.iter().any(|name| name == first)
                    && !(border.crates.contains(&"*") || border.crates.contains(&first))
            }
        };
        let bare = path.strip_prefix("crate::").unwrap_or(&path);
        let never = border.never.iter().any(|never| names(bare, never));
        if refused || never {
            violations
                .push(format!("{}:{line}: {} must not name {path}", file.path, border.module));
        }
    }
}

/// Whether a path is `what` or lies below it; `std::net::Tcp` stands for every name that begins so.
fn names(path: &str, what: &str) -> bool {
    path.strip_prefix(what).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with("::") || what.ends_with("Tcp") || what.ends_with("Udp")
    })
}

/// `src/proxy/…` → `proxy`, `src/app.rs` → `app`.
fn module_of(path: &str) -> &str {
    let rest = path.strip_prefix("src/").unwrap_or(path);
    let first = rest.split('/').next().unwrap_or(rest);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The dependencies of Cargo.toml, as code names them.
fn dependencies() -> Vec<String> {
    let manifest = include_str!("../../Cargo.toml");
    let mut within = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        match line {
            "[dependencies]" => within = true,
            line if line.starts_with('[') => within = false,
            line if within && !line.starts_with('#') => {
                names.extend(line.split_once(" = ").map(|(name, _)| name.replace('-', "_")));
            }
            _ => {}
        }
    }
    names
}

/// Every path of a file with its line, groups of `use` unfolded: `use a::{b, c::{d, e}}` names
/// `a::b`, `a::c::d` and `a::c::e`.
fn paths(file: &SourceFile) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut statement: Option<(usize, String)> = None;
    for (line, code) in file.production() {
        let trimmed = code.trim_start();
        let trimmed = trimmed.strip_prefix("pub ").unwrap_or(trimmed);
        match (&mut statement, trimmed.strip_prefix("use ")) {
            (Some((_, text)), _) => text.push_str(trimmed),
            (None, Some(rest)) => statement = Some((line, rest.to_owned())),
            (None, None) => found.extend(inline_paths(&code).map(|path| (line, path))),
        }
        if let Some((line, text)) = statement.take_if(|(_, text)| text.contains(';')) {
            let tree = text.split(';').next().unwrap_or_default();
            found.extend(unfold("", tree).into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// Paths with at least one `::` in an expression or a type.
fn inline_paths(code: &str) -> impl Iterator<Item = String> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .map(|path| path.trim_matches(':'))
        .filter(|path| path.contains("::"))
        .map(str::to_owned)
}

fn unfold(prefix: &str, tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default();
        return if name.is_empty() { Vec::new() } else { vec![format!("{prefix}{name}")] };
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let prefix = format!("{prefix}{}", head.trim());
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    parts.into_iter().flat_map(|part| unfold(&prefix, part)).collect()
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let text = "use std::sync::Arc;\nuse crate::{\n    model::{key::Kind, object},\n    \
                routing,\n};\nfn f() { kube::Api::x(std::env::var(1)) } // tokio::spawn\n\
                #[cfg(test)]\nmod tests {\n    use hyper::Body;\n}\n";
    let file = SourceFile { path: String::new(), text: text.to_owned() };
    let expected = [
        (1, "std::sync::Arc"),
        (2, "crate::model::key::Kind"),
        (2, "crate::model::object"),
        (2, "crate::routing"),
        (6, "kube::Api::x"),
        (6, "std::env::var"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(line, path)| (*line, (*path).to_owned())).collect();
    assert_eq!(paths(&file), expected);
}

#[test]
fn a_border_refuses() {
    let crates = dependencies();
    let rows = [
        ("model", "use crate::routing::RouteTable;", 1),
        ("model", "use crate::model::key::Kind;", 0),
        ("model", "use tokio::sync::mpsc;", 1),
        ("model", "use std::{fs, sync::Arc};", 1),
        ("model", "let now = std::time::Instant::now();", 1),
        ("model", "use std::time::Duration;", 0),
        ("model", "use std::net::TcpStream;", 1),
        ("model", "use std::net::IpAddr;", 0),
        ("routing", "use crate::{model::key, source::Event};", 1),
        ("proxy", "use crate::publish::{Publisher, Reader};", 1),
        ("proxy", "use kube::Client;", 1),
        ("controller", "fn f(x: crate::proxy::Proxy) {}", 1),
        ("controller", "use axum::Router;", 1),
        ("crd", "use crate::model::key::Kind;", 1),
        ("app", "use crate::proxy::Proxy;", 0),
    ];
    for (module, code, expected) in rows {
        let border = BORDERS.iter().find(|border| border.module == module).unwrap();
        let file = SourceFile { path: "x.rs".into(), text: code.into() };
        let mut violations = Vec::new();
        check(border, &file, &crates, &mut violations);
        assert_eq!(violations.len(), expected, "{module}: {code}: {violations:?}");
    }
}
