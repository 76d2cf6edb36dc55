//! Directories of real files, changed as editors and the kubelet change them.

use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::model::object::Content;

fn mapping(name: &str, prefix: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: {name}}}\n\
         spec: {{hostname: '*', prefix: {prefix}, service: s}}\n"
    )
}

fn write(directory: &TempDir, path: &str, text: impl AsRef<[u8]>) {
    let path = directory.path().join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, text).expect("a file");
}

/// A statement as `file: object …`, rejected objects with a `!`.
fn say(directory: &TempDir, statement: &Statement) -> String {
    let name = statement.id.name.replace(&directory.path().display().to_string(), "");
    let objects = statement.objects.iter().map(|object| {
        let mark = if object.content == Content::Rejected { "!" } else { "" };
        format!(" {mark}{}", object.key.name)
    });
    format!("{name}:{}", objects.collect::<String>())
}

fn say_event(directory: &TempDir, event: &Event) -> String {
    match event {
        Event::Init(_) => "init".into(),
        Event::Listed(_) => "listed".into(),
        Event::Versioned(..) | Event::Pem(..) | Event::Now(_) | Event::Observed(_) => {
            unreachable!("not of files")
        }
        Event::Put(statement) => say(directory, statement),
        Event::Delete(id) => {
            format!("-{}", id.name.replace(&directory.path().display().to_string(), ""))
        }
    }
}

#[test]
fn manifests_are_read_recursively() {
    let directory = TempDir::new().expect("a directory");
    write(&directory, "b.yaml", mapping("b", "/b/"));
    write(&directory, "a/one.yml", mapping("one", "/1/"));
    write(&directory, "a/two.JSON", "{}");
    write(&directory, "a/notes.txt", "not: [yaml");
    write(&directory, ".git/x.yaml", "hidden: [");
    write(&directory, "..2026/x.yaml", "hidden: [");
    write(&directory, "binary.yaml", b"a: \xff");
    write(&directory, "large.yaml", vec![b'#'; (16 << 20) + 1]);
    symlink(directory.path(), directory.path().join("a/circle")).expect("a link");
    symlink("nowhere", directory.path().join("dangling.yaml")).expect("a link");
    let missing = directory.path().join("missing");
    let single = directory.path().join("a/notes.txt");
    let paths = [directory.path().to_path_buf(), missing, single];
    let files = read(&paths, &ParseSettings::default());
    let said: Vec<String> = files.iter().map(|file| say(&directory, &file.statement)).collect();
    assert_eq!(
        said,
        [
            "/a/notes.txt: !document-1",
            "/a/one.yml: one",
            "/a/two.JSON: !document-1",
            "/b.yaml: b",
            "/binary.yaml: !document-1",
            "/large.yaml: !document-1",
            "/missing: !document-1",
        ]
    );
    let message = |index: usize| files[index].statement.objects[0].problems[0].message.clone();
    assert_eq!(message(4), "is not UTF-8 text");
    assert_eq!(message(5), "is larger than 16 MiB; split it");
    assert!(message(6).starts_with("can't be read: No such file"), "{}", message(6));
}

/// The next event, at the latest when the poll would have found the change.
async fn next(directory: &TempDir, events: &mut Receiver<Event>) -> String {
    let event = tokio::time::timeout(POLL / 3, events.recv()).await;
    say_event(directory, &event.expect("in time, without a poll").expect("an event"))
}

fn start(directory: &TempDir) -> (Receiver<Event>, tokio::task::JoinSet<()>) {
    let (sender, events) = mpsc::channel(16);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(watch(vec![directory.path().into()], ParseSettings::default(), sender));
    (events, tasks)
}

#[tokio::test]
async fn changes_are_followed() {
    let directory = TempDir::new().expect("a directory");
    write(&directory, "a.yaml", mapping("a", "/a/"));
    write(&directory, "b.yaml", mapping("b", "/b/"));
    let (mut events, mut tasks) = start(&directory);
    for expected in ["init", "/a.yaml: a", "/b.yaml: b", "listed"] {
        assert_eq!(next(&directory, &mut events).await, expected);
    }
    write(&directory, "b.yaml", mapping("b2", "/b/"));
    assert_eq!(next(&directory, &mut events).await, "/b.yaml: b2");
    // A new directory, and a file that is moved into its place.
    write(&directory, "sub/c.tmp", mapping("c", "/c/"));
    let path = |name: &str| directory.path().join(name);
    fs::rename(path("sub/c.tmp"), path("sub/c.yaml")).expect("a rename");
    assert_eq!(next(&directory, &mut events).await, "/sub/c.yaml: c");
    fs::remove_file(path("a.yaml")).expect("a removal");
    assert_eq!(next(&directory, &mut events).await, "-/a.yaml");
    // What is written again as it was is no change; our own reading is none either.
    write(&directory, "b.yaml", mapping("b2", "/b/"));
    tokio::time::sleep(QUIET * 4).await;
    assert!(events.try_recv().is_err());
    drop(events);
    assert!(tasks.join_next().await.is_some_and(|ended| ended.is_ok()));
}

#[tokio::test]
async fn the_swap_of_a_mounted_config_map_is_one_change() {
    let directory = TempDir::new().expect("a directory");
    write(&directory, "..1/a.yaml", mapping("a1", "/a/"));
    write(&directory, "..1/b.yaml", mapping("b1", "/b/"));
    let path = |name: &str| directory.path().join(name);
    symlink("..1", path("..data")).expect("a link");
    for name in ["a.yaml", "b.yaml"] {
        symlink(Path::new("..data").join(name), path(name)).expect("a link");
    }
    let (mut events, _tasks) = start(&directory);
    for expected in ["init", "/a.yaml: a1", "/b.yaml: b1", "listed"] {
        assert_eq!(next(&directory, &mut events).await, expected);
    }
    write(&directory, "..2/a.yaml", mapping("a2", "/a/"));
    symlink("..2", path("..data_tmp")).expect("a link");
    fs::rename(path("..data_tmp"), path("..data")).expect("a swap");
    fs::remove_file(path("b.yaml")).expect("a removal");
    fs::remove_dir_all(path("..1")).expect("a removal");
    for expected in ["-/b.yaml", "/a.yaml: a2"] {
        assert_eq!(next(&directory, &mut events).await, expected);
    }
}
