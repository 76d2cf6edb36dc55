use serde_json::{Value, json};

use super::*;
use crate::source::kubernetes::testing::{Call, Server, server as api_server};
use crate::source::parse::secret_testing::{Made, server as certificate};

struct Scene {
    server: Server,
    want: watch::Sender<Arc<BTreeSet<PemSource>>>,
    progress: SecretProgress,
    events: mpsc::Receiver<Event>,
    /// Watches that stay open without a word.
    open: Vec<Call>,
    _task: JoinSet<()>,
}

fn key(namespace: &str, name: &str) -> SecretKey {
    SecretKey { namespace: namespace.into(), name: name.into() }
}

fn scene(options: SecretOptions, wanted: &[SecretKey]) -> Scene {
    let (client, server) = api_server();
    let (sender, events) = mpsc::channel(1000);
    let progress = SecretProgress::default();
    let (want, received) = watch::channel(wants(wanted));
    let mut task = JoinSet::new();
    task.spawn(run(client, options, progress.clone(), received, sender));
    Scene { server, want, progress, events, open: Vec::new(), _task: task }
}

fn wants(wanted: &[SecretKey]) -> Arc<BTreeSet<PemSource>> {
    Arc::new(wanted.iter().cloned().map(PemSource::Secret).collect())
}

fn list(items: &[Value]) -> Value {
    json!({"metadata": {"resourceVersion": "10"}, "items": items})
}

fn secret(name: &str, made: &Made) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "9"},
        "stringData": {"tls.crt": made.pem, "tls.key": made.key},
    })
}

fn changes(events: &[(&str, Value)]) -> impl Iterator<Item = Value> {
    events.iter().map(|(kind, object)| json!({"type": kind, "object": object}))
}

impl Scene {
    /// Answers the next list, and says what was asked.
    async fn serve(&mut self, items: &[Value]) -> String {
        let call = self.server.next().await;
        assert!(!call.path.contains("watch=true"), "{}", call.path);
        let path = call.path.clone();
        call.ok(&list(items));
        path
    }

    async fn next_watch(&mut self) -> Call {
        let call = self.server.next().await;
        assert!(call.path.contains("watch=true"), "{}", call.path);
        call
    }

    async fn keep_watch_open(&mut self) {
        let call = self.next_watch().await;
        self.open.push(call);
    }

    /// The next word about a Secret.
    async fn told(&mut self) -> (String, String) {
        let Some(Event::Pem(PemSource::Secret(key), state)) = self.events.recv().await else {
            panic!("a Secret")
        };
        let state = match state {
            None => "forgotten".to_owned(),
            Some(SecretState::Missing) => "missing".to_owned(),
            Some(SecretState::Unreadable(text) | SecretState::Forbidden(text)) => text.to_string(),
            Some(SecretState::Present(contents)) => match &contents.certificate {
                Ok(Some(certificate)) => certificate.names.join(","),
                other => format!("{other:?}"),
            },
        };
        (key.to_string(), state)
    }

    async fn is_told(&mut self, key: &str, state: &str) {
        assert_eq!(self.told().await, (key.to_owned(), state.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_listed_and_watched_by_its_name_and_nothing_else_is() {
    let mut scene = scene(SecretOptions::default(), &[key("shop", "web")]);
    let path = scene.serve(&[secret("web", &certificate("a", &["a.example.com"]))]).await;
    assert!(path.starts_with("/api/v1/namespaces/shop/secrets?"), "{path}");
    assert!(path.contains("fieldSelector=metadata.name%3Dweb"), "{path}");
    scene.is_told("shop/web", "a.example.com").await;
    let watch = scene.next_watch().await;
    assert!(watch.path.contains("fieldSelector=metadata.name%3Dweb"), "{}", watch.path);
    assert_eq!((scene.progress.count(), scene.progress.waiting()), (1, None));

    // A rotation, and a change that says nothing new.
    let next = secret("web", &certificate("b", &["b.example.com"]));
    watch.lines(changes(&[("MODIFIED", next.clone()), ("MODIFIED", next)]));
    scene.is_told("shop/web", "b.example.com").await;
    scene.keep_watch_open().await;
    assert!(scene.server.is_idle_for(60).await);
    assert!(scene.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_comes_later_is_told_at_once_and_one_that_goes_a_moment_later() {
    let mut scene = scene(SecretOptions::default(), &[key("shop", "web")]);
    scene.serve(&[]).await;
    scene.is_told("shop/web", "missing").await;
    let (first, second) =
        (certificate("a", &["a.example.com"]), certificate("b", &["b.example.com"]));
    let watch = scene.next_watch().await;
    watch.lines(changes(&[("ADDED", secret("web", &first))]));
    scene.is_told("shop/web", "a.example.com").await;

    // Replaced by deleting it first.
    let watch = scene.next_watch().await;
    let changed = [("DELETED", secret("web", &first)), ("ADDED", secret("web", &second))];
    watch.lines(changes(&changed));
    scene.is_told("shop/web", "b.example.com").await;

    let watch = scene.next_watch().await;
    let deleted = tokio::time::Instant::now();
    watch.lines(changes(&[("DELETED", secret("web", &second))]));
    scene.keep_watch_open().await;
    scene.is_told("shop/web", "missing").await;
    assert_eq!(deleted.elapsed(), tell::DELETION_GRACE);
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_wants_is_left_after_a_while() {
    let mut scene = scene(SecretOptions::default(), &[key("shop", "web")]);
    scene.serve(&[]).await;
    scene.is_told("shop/web", "missing").await;
    scene.keep_watch_open().await;
    scene.want.send_replace(wants(&[]));
    tokio::time::sleep(GRACE / 2).await;
    scene.want.send_replace(wants(&[key("shop", "web")]));
    tokio::time::sleep(GRACE * 2).await;
    assert!(scene.events.try_recv().is_err(), "it was wanted again in time");

    let unwanted = tokio::time::Instant::now();
    scene.want.send_replace(wants(&[]));
    scene.is_told("shop/web", "forgotten").await;
    assert!(unwanted.elapsed() >= GRACE, "{:?}", unwanted.elapsed());
    assert_eq!(scene.progress.count(), 0);
    scene.want.send_replace(wants(&[key("shop", "web")]));
    scene.serve(&[]).await;
    scene.is_told("shop/web", "missing").await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_permission_and_heals() {
    for (single, role) in [
        (None, "ClusterRole, or to a Role in namespace shop"),
        (Some("shop".to_owned()), "Role in namespace shop"),
    ] {
        let options = SecretOptions { single_namespace: single, ..SecretOptions::default() };
        let mut scene = scene(options, &[key("shop", "web")]);
        for _ in 0..3 {
            scene.server.next().await.refuse(403, "Forbidden", "secrets is forbidden");
        }
        let text = format!(
            "the gateway may not read Secrets of namespace shop: add verbs list, watch on \
             resource secrets in the core API group to its {role}"
        );
        scene.is_told("shop/web", &text).await;
        scene.serve(&[]).await;
        scene.is_told("shop/web", "missing").await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_stays_while_the_api_server_is_away() {
    let mut scene = scene(SecretOptions::default(), &[key("shop", "web")]);
    scene.server.next().await.refuse(500, "InternalError", "etcd is away");
    let made = certificate("a", &["a.example.com"]);
    tokio::task::yield_now().await;
    let call = scene.server.next().await;
    let waiting = scene.progress.waiting().unwrap();
    assert_eq!(waiting, "reading shop/web (etcd is away (500))");
    call.ok(&list(&[secret("web", &made)]));
    scene.is_told("shop/web", "a.example.com").await;

    for (code, reason) in [(500, "InternalError"), (403, "Forbidden"), (410, "Expired")] {
        scene.next_watch().await.refuse(code, reason, "away");
        // A refusal and an expired watch begin with a list, which finds what it was.
        if code != 500 {
            scene.serve(&[secret("web", &made)]).await;
        }
    }
    scene.keep_watch_open().await;
    assert!(scene.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_is_given_up() {
    let mut scene = scene(SecretOptions::default(), &[key("shop", "web")]);
    let hanging = scene.server.next().await;
    scene.serve(&[]).await;
    scene.is_told("shop/web", "missing").await;
    drop(hanging);
}

#[tokio::test(start_paused = true)]
async fn only_some_begin_at_once() {
    let wanted: Vec<SecretKey> = (0..STARTS + 5).map(|n| key("shop", &format!("s{n}"))).collect();
    let mut scene = scene(SecretOptions::default(), &wanted);
    let mut lists = Vec::new();
    for _ in 0..STARTS {
        lists.push(scene.server.next().await);
    }
    assert!(scene.progress.waiting().unwrap().ends_with(&format!("and {} more", STARTS + 2)));
    tokio::task::yield_now().await;
    for call in lists {
        assert!(!call.path.contains("watch=true"), "{}", call.path);
        call.ok(&list(&[]));
    }
    for _ in 0..5 + STARTS + 5 {
        let call = scene.server.next().await;
        match call.path.contains("watch=true") {
            true => scene.open.push(call),
            false => call.ok(&list(&[])),
        }
    }
    for _ in &wanted {
        assert_eq!(scene.told().await.1, "missing");
    }
}

#[tokio::test(start_paused = true)]
async fn names_and_namespaces_that_may_not_be_asked_for_never_are() {
    let options = SecretOptions {
        single_namespace: Some("shop".to_owned()),
        elsewhere: Some(key("shop", "istio-certs")),
        ..SecretOptions::default()
    };
    let injected = key("shop", "a,metadata.namespace!=x");
    let path = key("../../secrets", "a");
    let wanted = [injected, path, key("other", "web"), key("shop", "istio-certs")];
    let mut scene = scene(options, &wanted);
    let no_name = "Kubernetes takes no such name for a Secret";
    scene.is_told("../../secrets/a", no_name).await;
    let (other, text) = scene.told().await;
    assert_eq!(other, "other/web");
    assert!(text.starts_with("this gateway reads Secrets of namespace shop only: "), "{text}");
    scene.is_told("shop/a,metadata.namespace!=x", no_name).await;
    assert!(scene.server.is_idle_for(60).await, "nothing is asked");
    scene.want.send_replace(wants(&[]));
    scene.is_told("../../secrets/a", "forgotten").await;
}

#[tokio::test(start_paused = true)]
async fn all_are_followed_in_one_watch_and_only_those_that_are_wanted_told() {
    let options = SecretOptions { watch: SecretWatch::All, ..SecretOptions::default() };
    let mut scene = scene(options, &[key("shop", "web"), key("shop", "none")]);
    let made = certificate("a", &["a.example.com"]);
    let path = scene.serve(&[secret("web", &made), secret("other", &made)]).await;
    assert!(path.starts_with("/api/v1/secrets?"), "{path}");
    assert!(path.contains("type%21%3Dhelm.sh%2Frelease.v1"), "{path}");
    scene.is_told("shop/none", "missing").await;
    scene.is_told("shop/web", "a.example.com").await;
    let watch = scene.next_watch().await;
    let next = certificate("b", &["b.example.com"]);
    let changed = [("MODIFIED", secret("other", &next)), ("DELETED", secret("web", &made))];
    watch.lines(changes(&changed));
    scene.keep_watch_open().await;
    scene.is_told("shop/web", "missing").await;
    scene.want.send_replace(wants(&[key("shop", "other")]));
    scene.is_told("shop/none", "forgotten").await;
    scene.is_told("shop/web", "forgotten").await;
    scene.is_told("shop/other", "b.example.com").await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_all_is_told_at_each() {
    let options = SecretOptions { watch: SecretWatch::All, ..SecretOptions::default() };
    let mut scene = scene(options, &[key("shop", "web")]);
    for _ in 0..2 {
        scene.server.next().await.refuse(403, "Forbidden", "secrets is forbidden");
    }
    let text = "the gateway may not read Secrets: add verbs list, watch on resource secrets in \
                the core API group to its ClusterRole";
    scene.is_told("shop/web", text).await;
    scene.serve(&[]).await;
    scene.is_told("shop/web", "missing").await;
}
