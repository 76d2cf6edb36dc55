//! Upstreams that don't answer: their clients are told so, and nobody else notices.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::clients::client;
use super::stage::{HOST, Stage};
use crate::support::load::let_it_run;
use crate::support::writer::Verb;
use crate::support::{PATIENCE, wait_until};

/// The node's address, which pods reach.
const NODE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// How long the bad one is asked.
const ASKED: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];

pub(super) fn silent(stage: &Stage<'_>) -> String {
    // Connections are kept: closing one would be an answer.
    let mut kept = Vec::new();
    let upstream = Upstream::start(move |stream| kept.push(stream));
    ask(stage, &upstream, 504)
}

pub(super) fn resets(stage: &Stage<'_>) -> String {
    let upstream = Upstream::start(|stream| {
        // Closed with a request unread: the other side gets a reset.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = stream.peek(&mut [0]);
    });
    ask(stage, &upstream, 503)
}

/// Many ask the bad upstream, and each of them gets this answer.
fn ask(stage: &Stage<'_>, upstream: &Upstream, status: u16) -> String {
    let spec = json!({
        "hostname": "*", "prefix": "/bad-upstream/", "timeout_ms": 1000,
        "service": upstream.address.to_string(),
    });
    let route = stage.release.object("Mapping", "bad-upstream", spec);
    stage.make(Verb::Create, route.clone());
    for (pod, address) in stage.release.pods(8080) {
        let mut client = crate::support::client::Client::to(address);
        wait_until(&format!("{pod} has the route"), PATIENCE, || {
            let request = http::Request::get("/bad-upstream/").header("host", HOST);
            let answer = client.send(request, "")?;
            if answer.status == status { Ok(()) } else { Err(answer.shown()) }
        });
    }
    let url = format!("http://{}/bad-upstream/", stage.address());
    let asking = client("bad upstream", &url, "-connections 50 -rate 100");
    let [short, long] = ASKED;
    let_it_run(stage.length.pick(short, long));
    let tally = asking.stop();
    stage.make(Verb::Delete, route);
    assert!(tally.errors.is_empty(), "without an answer: {:?}", tally.errors);
    let all: Vec<_> = tally.status.iter().collect();
    assert_eq!(all, [(&status.to_string(), &tally.requests)]);
    format!("its own {} requests were answered {status}", tally.requests)
}

/// Something that takes connections.
struct Upstream {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    fn start(mut serve: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((NODE, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it has one");
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                serve(stream);
            }
        });
        Self { address, ends, thread: Some(thread) }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // wakes it
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // one that has panicked has ended, too
        }
    }
}
