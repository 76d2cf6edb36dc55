//! What files mean, without a gateway: the same reading and the same build.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use super::check_text::File;
use crate::admin::seconds_now;
use crate::model::Build;
use crate::model::key::ObjectKey;
use crate::model::written::PemSource;
use crate::settings::Settings;
use crate::source::files::{self, SourceFile};
use crate::source::store::Store;
use crate::source::{Event, parse, pem_files, settle};

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
    files: HashMap<Arc<ObjectKey>, Arc<str>>,
    /// Their texts.
    texts: BTreeMap<Arc<str>, String>,
}

impl Offline {
    /// Reads and builds. Fails only where a path that was named isn't there.
    pub(super) fn load(paths: &[PathBuf], settings: &Settings) -> anyhow::Result<Self> {
        let parsing = settings.parsing();
        let mut read = Vec::new();
        for path in paths {
            if path.as_os_str() == STDIN {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("can't read standard input")?;
                let statement = parse::parse_file(STDIN_NAME, &text, &parsing);
                read.push(SourceFile { statement, text });
            } else {
                fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?;
                read.extend(files::read(std::slice::from_ref(path), &parsing));
            }
        }
        Ok(Self::build(read, settings))
    }

    /// Builds what was read.
    fn build(read: Vec<SourceFile>, settings: &Settings) -> Self {
        let mut store = Store::new(settings.defaults(false), []);
        let mut files = HashMap::new();
        let mut texts = BTreeMap::new();
        for SourceFile { statement, text } in read {
            for object in &statement.objects {
                files.insert(object.key.clone(), Arc::clone(&statement.id.name));
            }
            texts.insert(Arc::clone(&statement.id.name), text);
            store.apply(Event::Put(statement));
        }
        // Whether a certificate's time is now is a question of every check.
        store.apply(Event::Now(seconds_now()));
        let build = with_files(&mut store);
        let others = store.snapshot().objects.len().saturating_sub(build.reports.len());
        Self { build, others, files, texts }
    }

    /// The file that an object was written in.
    pub(super) fn file(&self, key: &ObjectKey) -> Option<File<'_>> {
        let path = self.files.get(key)?;
        Some(File { path, text: self.texts.get(path).map_or("", String::as_str) })
    }
}

/// Builds with the certificate files that objects name: those of this machine, where they stand
/// here as they will in the gateway's pod.
fn with_files(store: &mut Store) -> Build {
    let first = settle::build(store, &Build::default());
    let files: Vec<&PemSource> =
        first.wanted.iter().filter(|source| matches!(source, PemSource::Files { .. })).collect();
    if files.is_empty() {
        return first;
    }
    for source in files {
        let state = pem_files::read(source, None);
        store.apply(Event::Pem(source.clone(), state));
    }
    settle::build(store, &first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Flags;

    #[test]
    fn objects_are_found_with_their_files_and_texts() {
        let settings = Settings::parse(&Flags::default(), Default::default(), 1).unwrap();
        let mapping = |name: &str, id: &str| {
            format!(
                "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: {name}}}\n\
                 spec: {{hostname: '*', prefix: /{name}/, service: web, ambassador_id: [{id}]}}\n"
            )
        };
        let text = mapping("a", "default") + "---\n" + &mapping("b", "other");
        let statement = parse::parse_file("x.yaml", &text, &settings.parsing());
        let offline = Offline::build(vec![SourceFile { statement, text }], &settings);
        assert_eq!((offline.build.reports.len(), offline.others), (1, 1));
        let file = offline.file(&offline.build.reports.iter().next().unwrap().object.key).unwrap();
        assert_eq!(file.path, "x.yaml");
        assert!(file.text.contains("/a/"));
    }

    #[test]
    fn a_path_that_is_not_there_is_told() {
        let settings = Settings::parse(&Flags::default(), Default::default(), 1).unwrap();
        let error = Offline::load(&["no/such/file".into()], &settings).unwrap_err();
        assert!(error.to_string().contains("no/such/file"), "{error}");
    }
}
