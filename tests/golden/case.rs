//! One case: its input, built and compiled.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nuncio::admin::explain::Served;
use nuncio::admin::values::Process;
use nuncio::model::secret::{SecretContents, SecretState};
use nuncio::model::snapshot::{Defaults, Snapshot};
use nuncio::model::tls::{Authorities, Certificate, KeyKind, Private, SecretKey};
use nuncio::model::{Build, build};
use nuncio::routing::RouteTable;
use nuncio::source::parse::{ParseSettings, parse_file};
use nuncio::source::store::Store;
use nuncio::source::{Collection, Event, settle};
use serde::Deserialize;

/// A case that was read, built and compiled.
pub(crate) struct Case {
    /// The case's folder.
    pub(crate) folder: PathBuf,
    /// What the build found.
    pub(crate) build: Build,
    /// The compiled routes.
    pub(crate) table: RouteTable,
    /// The time that the process was told.
    now: i64,
}

/// What the process was told.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    ambassador_id: Option<String>,
    namespace: Option<String>,
    services_known: bool,
    environment: BTreeMap<String, String>,
    /// Secrets by `namespace/name`: the first name of the certificate that is in it, `ca` for
    /// authorities instead, or `missing`. Those that aren't here haven't been read.
    secrets: BTreeMap<String, String>,
    now: i64,
}

impl Case {
    pub(crate) fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("in.yaml")).unwrap_or_else(|error| {
            panic!("{}: in.yaml: {error}", folder.display());
        });
        let settings = match text.lines().next().and_then(|line| line.strip_prefix("# settings: "))
        {
            Some(settings) => serde_saphyr::from_str(settings).unwrap(),
            None => Settings::default(),
        };
        let before = fs::read_to_string(folder.join("before.yaml")).ok();
        let now = settings.now;
        let build = build_text(before.as_deref(), &text, settings);
        let table = RouteTable::compile(&build.config, &RouteTable::default());
        Self { folder: folder.to_owned(), build, table, now }
    }

    /// What is asked by `explain`.
    pub(crate) fn served(&self) -> Served<'_> {
        let (table, build) = (&self.table, &self.build);
        Served { table, build, process: Process::default(), now: self.now }
    }
}

fn build_text(before: Option<&str>, text: &str, settings: Settings) -> Build {
    let secrets: BTreeMap<_, _> =
        settings.secrets.iter().map(|(key, text)| secret(key, text)).collect();
    let now = settings.now;
    let parse = ParseSettings {
        namespace: settings.namespace.unwrap_or_else(|| "default".to_owned()),
        environment: settings.environment,
        ..ParseSettings::default()
    };
    let mut defaults = Defaults { services_known: settings.services_known, ..Defaults::default() };
    defaults.namespace = parse.namespace.clone();
    defaults.ambassador_id = settings.ambassador_id.unwrap_or(defaults.ambassador_id);
    let mut store = Store::new(defaults, [Collection::Files]);
    store.apply(Event::Init(Collection::Files));
    if let Some(before) = before {
        store.apply(Event::Put(parse_file("in.yaml", before, &parse)));
        settle::build(&mut store, &Build::default());
    }
    store.apply(Event::Put(parse_file("in.yaml", text, &parse)));
    store.apply(Event::Listed(Collection::Files));
    assert!(store.is_synced());
    // Those that stand in the file are read; those of the settings are made up.
    settle::build(&mut store, &Build::default());
    let mut all = (*store.snapshot().secrets).clone();
    all.extend(secrets);
    let snapshot = Snapshot { secrets: Arc::new(all), now, ..store.snapshot().clone() };
    build(&snapshot, &Build::default())
}

fn secret(key: &str, text: &str) -> (SecretKey, SecretState) {
    let (namespace, name) = key.split_once('/').expect("namespace/name");
    let key = SecretKey { namespace: namespace.into(), name: name.into() };
    let certificate = Certificate {
        fingerprint: [0; 32],
        chain: vec![],
        key: Private::new(*b""),
        key_kind: if text == "rsa" { KeyKind::Rsa } else { KeyKind::Ecdsa },
        names: vec![text.into()],
        not_before: 1_700_000_000,
        not_after: 1_800_000_000,
    };
    let contents = SecretContents {
        certificate: Ok((text != "ca").then(|| Arc::new(certificate))),
        authorities: Ok((text == "ca").then(|| Arc::new(Authorities(vec![])))),
        revoked: Ok(None),
    };
    let state = match text {
        "missing" => SecretState::Missing,
        _ => SecretState::Present(Arc::new(contents)),
    };
    (key, state)
}
