//! What files mean, without a gateway: the same reading and the same build.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::model::key::ObjectKey;
use crate::model::{Build, build};
use crate::settings::Settings;
use crate::source::store::Store;
use crate::source::{Event, Statement, files, parse};

/// How standard input is named on the command line.
const STDIN: &str = "-";
/// How it is named in messages.
const STDIN_NAME: &str = "<stdin>";

/// What was found in files.
#[derive(Debug)]
pub(super) struct Offline {
    /// The merged meaning.
    pub(super) build: Build,
    /// How many objects speak to other gateways.
    pub(super) others: usize,
    /// The file that each object was written in.
    files: HashMap<ObjectKey, Arc<str>>,
    /// Standard input's text, which can't be read again.
    stdin: Option<String>,
}

impl Offline {
    /// Reads and builds. Fails only where a path can't be read at all.
    pub(super) fn load(paths: &[PathBuf], settings: &Settings) -> anyhow::Result<Self> {
        let mut stdin = None;
        let mut statements = Vec::new();
        let parsing = settings.parsing();
        for path in paths {
            if path.as_os_str() == STDIN {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("can't read standard input")?;
                statements.push(parse::parse_file(STDIN_NAME, &text, &parsing));
                stdin = Some(text);
            } else {
                fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?;
                statements.extend(files::read(std::slice::from_ref(path), &parsing));
            }
        }
        Ok(Self { stdin, ..Self::build(statements, settings) })
    }

    /// Builds statements.
    fn build(statements: Vec<Statement>, settings: &Settings) -> Self {
        let mut store = Store::new(settings.defaults(false), []);
        let mut files = HashMap::new();
        for statement in statements {
            for object in &statement.objects {
                files.insert(object.key.clone(), Arc::clone(&statement.id.name));
            }
            store.apply(Event::Put(statement));
        }
        let build = build(store.snapshot(), &Build::default());
        let others = store.snapshot().objects.len().saturating_sub(build.reports.len());
        Self { build, others, files, stdin: None }
    }

    /// The file that an object was written in.
    pub(super) fn file(&self, key: &ObjectKey) -> Option<&str> {
        self.files.get(key).map(|path| &**path)
    }

    /// The texts of all files that hold objects, by path. What can't be read again is left out.
    pub(super) fn texts(&self) -> BTreeMap<&str, String> {
        let mut texts = BTreeMap::new();
        for path in self.files.values() {
            let text = match &**path {
                STDIN_NAME => self.stdin.clone(),
                path => fs::read_to_string(Path::new(path)).ok(),
            };
            if let Some(text) = text {
                texts.insert(&**path, text);
            }
        }
        texts
    }
}
