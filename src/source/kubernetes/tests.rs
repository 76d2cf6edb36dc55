use serde_json::{Value, json};

use super::testing::{Call, Server, server};
use super::*;

const MAPPINGS: &str = "/apis/getambassador.io/v3alpha1/mappings?";

struct Scene {
    server: Server,
    state: SourceState,
    events: mpsc::Receiver<Event>,
    /// Watches that stay open without a word.
    open: Vec<Call>,
    _task: JoinSet<()>,
}

fn scene(options: KubernetesOptions) -> Scene {
    let (client, server) = server();
    let (sender, events) = mpsc::channel(1000);
    let handles = KubernetesHandles::default();
    let state = handles.state.clone();
    let mut task = JoinSet::new();
    task.spawn(run(client, options, handles, sender));
    Scene { server, state, events, open: Vec::new(), _task: task }
}

fn list(version: &str, items: &[Value]) -> Value {
    json!({"metadata": {"resourceVersion": version}, "items": items})
}

fn mapping(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
        "metadata": {"name": name, "namespace": "ns", "uid": name, "generation": 1, "resourceVersion": version},
        "spec": {"hostname": "*", "prefix": "/m/", "service": "m"},
    })
}

impl Scene {
    /// The next request for Mappings; others get empty lists and silent watches.
    async fn next(&mut self) -> Call {
        self.next_of(MAPPINGS).await
    }

    /// The next request whose path begins so.
    async fn next_of(&mut self, path: &str) -> Call {
        loop {
            let call = self.server.next().await;
            if call.path.starts_with(path) {
                return call;
            }
            match call.path.contains("watch=true") {
                true => self.open.push(call),
                false => call.ok(&list("1", &[])),
            }
        }
    }

    /// Answers the question for the version, and the list after it.
    async fn serve_list(&mut self, version: &str, items: &[Value]) {
        let call = self.next().await;
        assert!(call.path.ends_with("&limit=1"), "{}", call.path);
        call.ok(&list(version, &[]));
        let call = self.next().await;
        assert!(!call.path.contains("watch=true"), "{}", call.path);
        call.ok(&list(version, items));
    }

    /// Answers a watch with these events, after which it ends.
    async fn serve_watch(&mut self, version: &str, events: &[(&str, Value)]) {
        let call = self.next().await;
        assert!(call.path.contains("watch=true"), "{}", call.path);
        assert!(call.path.ends_with(&format!("resourceVersion={version}")), "{}", call.path);
        let lines = events.iter().map(|(kind, object)| json!({"type": kind, "object": object}));
        call.lines(lines);
    }

    /// What has been told of Mappings so far, as words.
    fn told(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            let event = match event {
                Event::Versioned(_, None) => continue,
                Event::Versioned(_, Some(event)) => *event,
                event => event,
            };
            words.extend(match event {
                Event::Init(Collection::Mappings) => Some("init".to_owned()),
                Event::Listed(Collection::Mappings) => Some("listed".to_owned()),
                Event::Put(statement) if statement.id.collection == Collection::Mappings => {
                    Some(format!("put {}", statement.id.name))
                }
                Event::Delete(id) => Some(format!("delete {}", id.name)),
                _ => None,
            });
        }
        words
    }
}

#[tokio::test(start_paused = true)]
async fn collections_are_listed_and_watched_with_the_selectors() {
    let mut scene = scene(KubernetesOptions {
        single_namespace: Some("only".to_owned()),
        label_selector: Some("a=b".to_owned()),
        field_selector: Some("metadata.name=x".to_owned()),
        ..KubernetesOptions::default()
    });
    let mut paths = Vec::new();
    for _ in 0..11 {
        let call = scene.server.next().await;
        // Where the collection stands as a whole.
        assert!(call.path.ends_with("?&limit=1"), "{}", call.path);
        call.ok(&list("1", &[]));
    }
    for _ in 0..11 {
        let call = scene.server.next().await;
        assert!(call.path.contains("labelSelector=a%3Db"), "{}", call.path);
        assert!(call.path.contains("fieldSelector=metadata.name%3Dx"), "{}", call.path);
        paths.push(call.path.split('?').next().unwrap_or_default().to_owned());
        scene.open.push(call);
    }
    paths.sort();
    assert_eq!(
        paths,
        [
            "/api/v1/namespaces/only/services",
            "/apis/discovery.k8s.io/v1/namespaces/only/endpointslices",
            "/apis/getambassador.io/v3alpha1/namespaces/only/hosts",
            "/apis/getambassador.io/v3alpha1/namespaces/only/kubernetesendpointresolvers",
            "/apis/getambassador.io/v3alpha1/namespaces/only/kubernetesserviceresolvers",
            "/apis/getambassador.io/v3alpha1/namespaces/only/listeners",
            "/apis/getambassador.io/v3alpha1/namespaces/only/mappings",
            "/apis/getambassador.io/v3alpha1/namespaces/only/modules",
            "/apis/getambassador.io/v3alpha1/namespaces/only/tcpmappings",
            "/apis/getambassador.io/v3alpha1/namespaces/only/tlscontexts",
            "/apis/networking.k8s.io/v1/namespaces/only/ingresses",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let mut scene = scene(KubernetesOptions::default());
    scene.serve_list("10", &[mapping("a", "9"), mapping("b", "10")]).await;
    scene
        .serve_watch("10", &[("ADDED", mapping("c", "11")), ("DELETED", mapping("a", "12"))])
        .await;
    scene.serve_watch("12", &[("MODIFIED", mapping("b", "13"))]).await;
    let waiting = scene.next().await;
    assert!(waiting.path.ends_with("resourceVersion=13"), "{}", waiting.path);
    // The change of `b` was to nothing that is read.
    assert_eq!(scene.told(), ["init", "put a", "put b", "listed", "put c", "delete a"]);
    assert_eq!(scene.state.get(Collection::Mappings), CollectionState::Watching);
}

#[tokio::test(start_paused = true)]
async fn an_object_without_a_shape_still_arrives_and_goes() {
    let mut scene = scene(KubernetesOptions::default());
    let mut broken = mapping("a", "9");
    broken["spec"] = json!(["nonsense"]);
    broken["metadata"]["labels"] = json!(7);
    scene.serve_list("10", &[broken.clone()]).await;
    scene.serve_watch("10", &[("DELETED", json!({"metadata": broken["metadata"]}))]).await;
    scene.next().await;
    assert_eq!(scene.told(), ["init", "put a", "listed", "delete a"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_watch_begins_with_a_list() {
    let gone = json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"});
    for in_stream in [true, false] {
        let mut scene = scene(KubernetesOptions::default());
        scene.serve_list("10", &[mapping("a", "9"), mapping("b", "10")]).await;
        if in_stream {
            scene.serve_watch("10", &[("ERROR", gone.clone())]).await;
        } else {
            scene.next().await.refuse(410, "Expired", "too old");
        }
        scene.serve_list("90", &[mapping("b", "10")]).await;
        let waiting = scene.next().await;
        assert!(waiting.path.ends_with("resourceVersion=90"), "{}", waiting.path);
        let told = scene.told();
        assert_eq!(told[4..], ["init", "put b", "listed"], "in stream: {in_stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_api_server_takes_nothing_back_and_is_asked_soon_again() {
    let mut scene = scene(KubernetesOptions::default());
    scene.serve_list("10", &[mapping("a", "9")]).await;
    let down = tokio::time::Instant::now();
    while down.elapsed() < Duration::from_secs(300) {
        scene.next().await.refuse(500, "InternalError", "etcd is away");
    }
    let asked = tokio::time::Instant::now();
    assert!(matches!(scene.state.get(Collection::Mappings), CollectionState::Disconnected(_)));
    scene.serve_watch("10", &[("ADDED", mapping("b", "11"))]).await;
    assert!(asked.elapsed() <= Duration::from_secs(5), "{:?}", asked.elapsed());
    scene.next().await;
    assert_eq!(scene.told(), ["init", "put a", "listed", "put b"]);
    assert_eq!(scene.state.get(Collection::Mappings), CollectionState::Watching);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_counts_as_back_after_a_while() {
    let mut scene = scene(KubernetesOptions::default());
    scene.serve_list("10", &[]).await;
    scene.next().await.refuse(500, "InternalError", "etcd is away");
    let silent = scene.next().await;
    assert!(matches!(scene.state.get(Collection::Mappings), CollectionState::Disconnected(_)));
    tokio::time::sleep(Duration::from_secs(36)).await;
    assert_eq!(scene.state.get(Collection::Mappings), CollectionState::Watching);
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_missing_definition_is_an_empty_collection_until_it_comes() {
    let mut scene = scene(KubernetesOptions::default());
    for _ in 0..3 {
        scene.next().await.refuse(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
    }
    let state = scene.state.get(Collection::Mappings);
    let CollectionState::MissingCrd(reason) = state else { panic!("{state:?}") };
    assert!(reason.starts_with("its definition is not installed; install "), "{reason}");
    scene.serve_list("10", &[mapping("a", "9")]).await;
    scene.next().await;
    assert_eq!(scene.told(), ["init", "listed", "init", "put a", "listed"]);
    assert_eq!(scene.state.get(Collection::Mappings), CollectionState::Watching);
}

#[tokio::test(start_paused = true)]
async fn one_missing_answer_doesnt_empty_what_was_seen() {
    // (how often the definition is missing, what is told after the first list)
    let kept: &[&str] = &["init", "put a", "listed"];
    let lost: &[&str] = &["init", "listed", "init", "put a", "listed"];
    for (times, expected) in [(1, kept), (2, kept), (3, lost)] {
        let mut scene = scene(KubernetesOptions::default());
        scene.serve_list("10", &[mapping("a", "9")]).await;
        for _ in 0..=times {
            // The first is the answer to the watch.
            scene.next().await.refuse(
                404,
                "NotFound",
                "the server could not find the requested resource",
            );
        }
        scene.serve_list("10", &[mapping("a", "9")]).await;
        scene.next().await;
        assert_eq!(scene.told()[3..], *expected, "{times}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_never_looks_like_an_empty_list() {
    let mut scene = scene(KubernetesOptions::default());
    for _ in 0..5 {
        scene.next().await.refuse(403, "Forbidden", "mappings is forbidden");
    }
    let state = scene.state.get(Collection::Mappings);
    let CollectionState::Forbidden { message, never_followed: true } = state else {
        panic!("{state:?}")
    };
    assert_eq!(
        message,
        "may not list mappings.getambassador.io in all namespaces: add verb list on resource mappings in API group getambassador.io to the gateway's ClusterRole"
    );
    assert_eq!(scene.told(), [""; 0]);
    scene.serve_list("10", &[]).await;
    scene.next().await;
    assert_eq!(scene.told(), ["init", "listed"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_watch_tells_the_verb_and_whether_it_ever_worked() {
    for (open, never_followed) in [(0, true), (60, false)] {
        let mut scene = scene(KubernetesOptions {
            single_namespace: Some("only".to_owned()),
            ..KubernetesOptions::default()
        });
        let path = "/apis/getambassador.io/v3alpha1/namespaces/only/mappings?";
        // The version first, then the list.
        for _ in 0..2 {
            scene.next_of(path).await.ok(&list("10", &[]));
        }
        let watch = scene.next_of(path).await;
        assert!(watch.path.contains("watch=true"), "{}", watch.path);
        tokio::time::sleep(Duration::from_secs(open)).await;
        if open > 0 {
            watch.lines([].into_iter());
        } else {
            watch.refuse(403, "Forbidden", "mappings is forbidden");
        }
        for _ in 0..3 {
            scene.next_of(path).await.refuse(403, "Forbidden", "mappings is forbidden");
        }
        scene.next_of(path).await;
        let message = "may not watch mappings.getambassador.io in namespace only: add verb watch on resource mappings in API group getambassador.io to the gateway's Role in namespace only";
        let expected = CollectionState::Forbidden { message: message.to_owned(), never_followed };
        assert_eq!(scene.state.get(Collection::Mappings), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_is_given_up() {
    let mut scene = scene(KubernetesOptions::default());
    let hanging = scene.next().await;
    let begun = tokio::time::Instant::now();
    scene.serve_list("10", &[]).await;
    assert!(begun.elapsed() <= Duration::from_secs(61), "{:?}", begun.elapsed());
    drop(hanging);
}

#[tokio::test(start_paused = true)]
async fn every_event_brings_its_version_and_a_list_the_one_before_it() {
    let mut scene = scene(KubernetesOptions::default());
    scene.serve_list("30", &[mapping("a", "9")]).await;
    let mut written = mapping("a", "31");
    written["status"] = json!({"state": "Running"});
    scene.serve_watch("30", &[("MODIFIED", written), ("DELETED", mapping("a", "32"))]).await;
    scene.next().await;
    let mut versions = Vec::new();
    while let Ok(event) = scene.events.try_recv() {
        if let Event::Versioned(version, event) = event
            && version.collection == Collection::Mappings
        {
            let what = match event.as_deref() {
                Some(Event::Put(_)) => "put",
                Some(Event::Delete(_)) => "delete",
                Some(Event::Listed(_)) => "listed",
                None => "nothing to say",
                other => panic!("{other:?}"),
            };
            versions.push((version.number, what));
        }
    }
    assert_eq!(versions, [(9, "put"), (30, "listed"), (31, "nothing to say"), (32, "delete")]);
}
