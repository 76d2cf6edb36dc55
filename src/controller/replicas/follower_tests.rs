//! The leader's side of the barrier: a scripted API server names replicas, which are sockets of
//! this test that speak the stream's lines.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::controller::lead;
use crate::controller::testing::{Call, Server, built, lease, server};

const LIST: &str = "/apis/discovery.k8s.io/v1/namespaces/gateway/endpointslices?";

struct Scene {
    server: Server,
    replicas: watch::Receiver<Arc<Replicas>>,
    leader: watch::Sender<crate::controller::lead::Leadership>,
    _builds: watch::Sender<Arc<Built>>,
    _task: JoinSet<()>,
}

fn scene() -> Scene {
    let (client, server) = server();
    let options = ReplicaOptions {
        namespace: "gateway".to_owned(),
        service: "nuncio-admin".to_owned(),
        pod: "a".to_owned(),
        instance: "a_1".to_owned(),
        dial: Dial::default(),
    };
    let (sender, replicas) = watch::channel(Arc::new(Replicas::not_leading()));
    let (builds, build_reader) = watch::channel(built(None));
    let (leader, leads) = watch::channel(lease(true));
    let mut task = JoinSet::new();
    task.spawn(lead::run(Follower::new(client, options, sender), build_reader, leads));
    Scene { server, replicas, leader, _builds: builds, _task: task }
}

fn slice(port: u16, endpoints: &[(&str, bool)]) -> Value {
    let endpoint = |(pod, serving): &(&str, bool)| {
        json!({
            "addresses": ["127.0.0.1"], "conditions": {"serving": serving},
            "targetRef": {"kind": "Pod", "name": pod},
        })
    };
    json!({
        "metadata": {"name": "s", "namespace": "gateway", "resourceVersion": "5"},
        "addressType": "IPv4", "ports": [{"name": "admin", "port": port}],
        "endpoints": endpoints.iter().map(endpoint).collect::<Value>(),
    })
}

impl Scene {
    /// Answers the list, and leaves the watch after it open.
    async fn serve_list(&mut self, slices: &[Value]) -> Call {
        let call = self.server.next().await;
        assert!(call.path.starts_with(LIST), "{}", call.path);
        assert!(
            call.path.contains("labelSelector=kubernetes.io%2Fservice-name%3Dnuncio-admin"),
            "{}",
            call.path
        );
        call.ok(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList",
            "metadata": {"resourceVersion": "5"}, "items": slices,
        }));
        self.server.next().await
    }

    async fn wait_for(&mut self, judge: impl Fn(&Replicas) -> bool) -> Arc<Replicas> {
        Arc::clone(&*self.replicas.wait_for(|replicas| judge(replicas)).await.unwrap())
    }

    fn judge(&self, number: u64) -> Judgement {
        let needed = [(crate::source::Collection::Mappings, Some(number))];
        self.replicas.borrow().judge(&needed.into_iter().collect())
    }
}

/// Takes a connection and answers with the beginning of a stream.
async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(socket.read_u8().await.unwrap());
    }
    assert!(request.starts_with(b"GET /nuncio/v1/served HTTP/1.1\r\n"));
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

/// Says a text, in as many pieces.
async fn say(socket: &mut TcpStream, pieces: &[&str]) {
    for piece in pieces {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        socket.write_all(chunk.as_bytes()).await.unwrap();
    }
}

fn line(instance: &str, mappings: u64) -> String {
    let served = json!({"mappings": mappings.to_string(), "unheard-of": null});
    let line =
        json!({"instance": instance, "version": "1", "ready": true, "served": served, "more": 1});
    format!("{line}\n")
}

fn is_connected(replicas: &Replicas) -> bool {
    replicas.by_name.values().any(|replica| replica.link == Link::Connected)
}

#[tokio::test]
async fn a_replica_is_followed_from_before_it_is_ready_until_it_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut scene = scene();
    assert!(matches!(scene.judge(1), Judgement::Unknown(_)));
    let watch = scene.serve_list(&[slice(port, &[("a", true), ("b", false)])]).await;
    let mut socket = accept(&listener).await;
    scene.wait_for(|replicas| replicas.membership == Membership::Known).await;
    assert_eq!(scene.judge(7), Judgement::Confirmed, "it takes no requests yet");

    // Lines come in pieces, and several at once.
    let (one, two) = (line("b_1", 5), line("b_1", 6));
    say(&mut socket, &[&one[..10], &format!("{}{two}", &one[10..])]).await;
    scene.wait_for(is_connected).await;
    assert_eq!(scene.judge(6), Judgement::Confirmed);
    let behind = vec![("b".into(), "it is behind".into())];
    assert_eq!(scene.judge(7), Judgement::Waiting(behind));
    say(&mut socket, &[&line("b_1", 7)]).await;
    let has = |replicas: &Replicas| {
        let needed = [(crate::source::Collection::Mappings, Some(7))];
        replicas.judge(&needed.into_iter().collect()) == Judgement::Confirmed
    };
    scene.wait_for(has).await;

    // It breaks off and comes back.
    drop(socket);
    scene.wait_for(|replicas| !is_connected(replicas)).await;
    let mut socket = accept(&listener).await;
    say(&mut socket, &[&line("b_2", 9)]).await;
    scene.wait_for(is_connected).await;

    let gone = json!({"type": "DELETED", "object": slice(port, &[])});
    watch.lines(std::iter::once(gone));
    scene.wait_for(|replicas| replicas.by_name.is_empty()).await;
    assert_eq!(socket.read(&mut [0; 16]).await.unwrap(), 0, "nobody listens any more");
}

#[tokio::test]
async fn who_finds_itself_or_loses_the_lease_stops_listening() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut scene = scene();
    let mut endpoints = slice(port, &[("unnamed", true)]);
    endpoints["endpoints"][0]["targetRef"] = Value::Null;
    let _watch = scene.serve_list(&[endpoints]).await;
    let mut socket = accept(&listener).await;
    scene.wait_for(|replicas| !replicas.by_name.is_empty()).await;
    say(&mut socket, &[&line("a_1", 5)]).await;
    scene.wait_for(|replicas| replicas.by_name.is_empty()).await;
    assert_eq!(scene.judge(9), Judgement::Confirmed, "it needn't wait for itself");
    scene.leader.send_replace(lease(false));
    scene.wait_for(|replicas| *replicas == Replicas::not_leading()).await;
}

#[tokio::test]
async fn what_is_no_such_stream_is_a_reason() {
    let rows = [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "its version does not tell what it serves",
        ),
        ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "it answers with 503"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n<>\n", "it says something else"),
        ("SSH-2.0\r\n\r\n", "the connection has ended"),
    ];
    for (answer, reason) in rows {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut scene = scene();
        let _watch = scene.serve_list(&[slice(port, &[("b", true)])]).await;
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(answer.as_bytes()).await.unwrap();
        let is_lost = |replicas: &Replicas| {
            replicas.by_name.values().any(|replica| matches!(replica.link, Link::Lost(_)))
        };
        scene.wait_for(is_lost).await;
        assert_eq!(scene.judge(1), Judgement::Waiting(vec![("b".into(), reason.into())]));
    }
}

#[tokio::test]
async fn who_may_not_read_the_endpoints_says_so() {
    let mut scene = scene();
    scene.server.next().await.refuse(403, "Forbidden", "endpointslices is forbidden");
    let reason = "the EndpointSlices of the admin Service can't be read";
    scene.wait_for(|replicas| *replicas == Replicas::unknown(reason)).await;
}
