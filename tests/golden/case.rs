//! One case: its input, built and compiled.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nuncio::model::Build;
use nuncio::model::snapshot::Defaults;
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
}

/// What the process was told.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    ambassador_id: Option<String>,
    namespace: Option<String>,
    services_known: bool,
    environment: BTreeMap<String, String>,
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
        let build = build_text(&text, settings);
        let table = RouteTable::compile(&build.config, &RouteTable::default());
        Self { folder: folder.to_owned(), build, table }
    }
}

fn build_text(text: &str, settings: Settings) -> Build {
    let parse = ParseSettings {
        namespace: settings.namespace.unwrap_or_else(|| "default".to_owned()),
        environment: settings.environment,
    };
    let mut defaults = Defaults { services_known: settings.services_known, ..Defaults::default() };
    defaults.namespace = parse.namespace.clone();
    defaults.ambassador_id = settings.ambassador_id.unwrap_or(defaults.ambassador_id);
    let mut store = Store::new(defaults, [Collection::Files]);
    store.apply(Event::Init(Collection::Files));
    store.apply(Event::Put(parse_file("in.yaml", text, &parse)));
    store.apply(Event::Listed(Collection::Files));
    assert!(store.is_synced());
    settle::build(&mut store, &Build::default())
}
