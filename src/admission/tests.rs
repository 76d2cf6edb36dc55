//! The certificate while it is used: two replicas, a fake API server that keeps the Secret and the
//! webhook configuration, and clients that trust what that configuration says, as the API server
//! does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::certificate::{Keeper, Management, Names, Served, Times, provider};
use super::testing::{Fake, settings};
use super::{endpoint, server};

const DAY: u64 = 86_400;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many days the clock of the one test that moves it is ahead.
static AHEAD: AtomicU64 = AtomicU64::new(0);

fn moved_clock() -> SystemTime {
    SystemTime::now() + Duration::from_secs(AHEAD.load(Ordering::SeqCst) * DAY)
}

/// A wall clock.
type Now = fn() -> SystemTime;

fn times(now: Now) -> Times {
    Times {
        lifetime: Duration::from_secs(90 * DAY),
        // Many times the age of what the clients trust.
        settle: Duration::from_secs(1),
        check: Duration::from_millis(50),
        now,
    }
}

/// Replicas that share an API server.
struct Scene {
    fake: Fake,
    now: Now,
    replicas: Vec<SocketAddr>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Scene {
    async fn start(replicas: usize, management: Management) -> Self {
        Self::start_at(SystemTime::now, replicas, management).await
    }

    async fn start_at(now: Now, replicas: usize, management: Management) -> Self {
        let (fake, tasks, stop) = (Fake::new(), JoinSet::new(), CancellationToken::new());
        let mut scene = Self { fake, now, replicas: vec![], tasks, stop };
        for _ in 0..replicas {
            scene.add(management).await;
        }
        scene
    }

    async fn add(&mut self, management: Management) {
        let names = Names {
            namespace: "gateways".into(),
            service: "admission".into(),
            secret: "certificate".into(),
            configuration: "nuncio".into(),
            definitions: vec!["mappings.getambassador.io".into()],
        };
        let served = Served::default();
        let tls = server::tls(&served).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.replicas.push(listener.local_addr().unwrap());
        let keeper = Keeper::new(self.fake.client(), names, management, times(self.now), served);
        self.tasks.spawn(keeper.run());
        let router = endpoint::router(settings());
        self.tasks.spawn(server::serve(listener, tls, router, self.stop.clone()));
    }

    /// Waits until all replicas serve the same certificate, which is trusted; returns it.
    async fn agreed(&self) -> Vec<u8> {
        let agreed = async {
            loop {
                let mut served = Vec::new();
                for replica in &self.replicas {
                    served.push(ask(*replica, &self.fake.bundle(), self.now).await.ok());
                }
                if served[0].is_some() && served.iter().all(|one| *one == served[0]) {
                    return served[0].clone().unwrap();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, agreed).await.expect("the replicas agree")
    }

    async fn wait_for(&self, what: &str, holds: impl Fn(&Fake) -> bool) {
        let waiting = async {
            while !holds(&self.fake) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
    }
}

#[derive(Debug)]
struct Clock(Now);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = (self.0)().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// One handshake and one request, trusting what the bundle says; the certificate that was shown.
async fn ask(replica: SocketAddr, bundle: &[u8], now: Now) -> Result<Vec<u8>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate.unwrap()).map_err(|error| error.to_string())?;
    }
    let config = ClientConfig::builder_with_details(provider(), Arc::new(Clock(now)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("admission.gateways.svc").unwrap();
    let stream = TcpStream::connect(replica).await.map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(|error| error.to_string())?;
    answer.starts_with("HTTP/1.1 404").then_some(shown).ok_or(answer)
}

/// Asks all replicas in turn, trusting what was to be trusted a moment ago, until told to stop;
/// returns how often, and what went wrong.
async fn load(
    fake: Fake,
    replicas: Vec<SocketAddr>,
    stop: CancellationToken,
) -> (usize, Vec<String>) {
    let (mut count, mut failures) = (0, Vec::new());
    // Each is written by itself, so that they differ for a moment.
    let trusted = || [fake.configuration_bundle(), fake.definition_bundle().unwrap_or_default()];
    let mut bundles = trusted();
    while !stop.is_cancelled() {
        let newer = trusted();
        for replica in &replicas {
            for bundle in &bundles {
                count += 1;
                failures.extend(ask(*replica, bundle, moved_clock).await.err());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        bundles = newer;
    }
    (count, failures)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_fails_while_certificates_are_replaced() {
    let scene = Scene::start_at(moved_clock, 2, Management::Own).await;
    let mut seen = vec![scene.agreed().await];
    assert_eq!(scene.fake.writes(), 3, "one replica wrote, and each object once");
    let stop = CancellationToken::new();
    let mut loads = JoinSet::new();
    loads.spawn(load(scene.fake.clone(), scene.replicas.clone(), stop.clone()));
    for _ in 0..2 {
        AHEAD.fetch_add(61, Ordering::SeqCst);
        let before = scene.fake.secret("tls.crt");
        scene.wait_for("a new one", |fake| fake.secret("tls.crt") != before).await;
        scene.wait_for("the old one", |fake| fake.secret("old.crt") == before).await;
        seen.push(scene.agreed().await);
    }
    stop.cancel();
    let (count, failures) = loads.join_next().await.unwrap().unwrap();
    assert!(failures.is_empty(), "{} of {count} failed: {failures:?}", failures.len());
    assert!(seen[0] != seen[1] && seen[1] != seen[2], "certificates were replaced");
    assert!(count > 20, "{count}");
}

#[tokio::test]
async fn a_secret_that_is_deleted_or_broken_is_made_anew() {
    let mut scene = Scene::start(1, Management::Own).await;
    let first = scene.agreed().await;
    scene.fake.delete_secret();
    scene.wait_for("a Secret", |fake| fake.secret("tls.crt").is_some()).await;
    scene.wait_for("trust", |fake| Some(fake.bundle()) == fake.secret("tls.crt")).await;
    let second = scene.agreed().await;
    assert_ne!(first, second);

    scene.fake.set_secret(&json!({"tls.crt": "aGVsbG8=", "tls.key": "aGVsbG8="}));
    scene.wait_for("a key", |fake| fake.secret("tls.key").is_some_and(|key| key.len() > 9)).await;
    scene.wait_for("trust", |fake| Some(fake.bundle()) == fake.secret("tls.crt")).await;
    let third = scene.agreed().await;
    assert_ne!(second, third);

    // A replica that comes later takes what is there.
    let writes = scene.fake.writes();
    scene.add(Management::Own).await;
    assert_eq!(scene.agreed().await, third);
    assert_eq!(scene.fake.writes(), writes);
}

#[tokio::test]
async fn trust_that_was_overwritten_comes_back() {
    let scene = Scene::start(1, Management::Own).await;
    let certificate = scene.agreed().await;
    scene.fake.forget_bundle();
    scene.wait_for("trust", |fake| Some(fake.bundle()) == fake.secret("tls.crt")).await;
    assert_eq!(scene.agreed().await, certificate);
}

/// The definition is written by Helm, and may come after the gateway.
#[tokio::test]
async fn a_definition_trusts_as_soon_as_it_names_us() {
    let scene = Scene::start(1, Management::Own).await;
    scene.agreed().await;
    scene.fake.define("other", "gateways");
    scene.fake.define("admission", "gateways");
    scene.wait_for("trust", |fake| Some(fake.bundle()) == fake.secret("tls.crt")).await;
    assert!(!scene.fake.bundle().is_empty());

    // What others convert is theirs.
    scene.fake.define("admission", "elsewhere");
    let writes = scene.fake.writes();
    scene.fake.delete_secret();
    scene.wait_for("a Secret", |fake| fake.secret("tls.crt").is_some()).await;
    scene.wait_for("it was told", |fake| fake.writes() == writes + 2).await;
    assert_eq!(scene.fake.definition_bundle(), None);
}

#[tokio::test]
async fn what_others_manage_is_only_read() {
    let theirs = Scene::start(1, Management::Own).await;
    theirs.agreed().await;
    let text = |field: &str| {
        let bytes = theirs.fake.secret(field).unwrap();
        json!(k8s_openapi::ByteString(bytes))
    };
    let scene = Scene::start(1, Management::External).await;
    scene.fake.set_secret(&json!({"tls.crt": text("tls.crt"), "tls.key": text("tls.key")}));
    let bundle = theirs.fake.bundle();
    let served = async {
        while ask(scene.replicas[0], &bundle, scene.now).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("it is served");
    scene.fake.set_secret(&json!({"tls.crt": "aGVsbG8="}));
    scene.fake.delete_secret();
    assert!(ask(scene.replicas[0], &bundle, scene.now).await.is_ok(), "the last good one stays");
    assert_eq!(scene.fake.writes(), 0);
}

#[tokio::test]
async fn told_to_stop_it_answers_what_is_at_hand() {
    let mut scene = Scene::start(1, Management::Own).await;
    scene.agreed().await;
    scene.stop.cancel();
    // The keeper has no end of its own.
    let ended = tokio::time::timeout(PATIENCE, scene.tasks.join_next()).await;
    assert!(ended.expect("the server ends").unwrap().is_ok());
    assert!(ask(scene.replicas[0], &scene.fake.bundle(), scene.now).await.is_err());
}
