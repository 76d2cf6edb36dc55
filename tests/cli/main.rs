//! The binary as its users meet it: exit codes, the demonstration from start to SIGTERM, and a
//! gateway whose cluster can't be reached.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod certificates;
mod full_disk;
mod redaction;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn nuncio(arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nuncio"));
    // The tests' own environment must not decide what the gateway does.
    command.args(arguments).current_dir(directory).env_clear();
    command
}

fn run(arguments: &[&str]) -> Output {
    nuncio(arguments, Path::new(env!("CARGO_MANIFEST_DIR"))).output().expect("the binary runs")
}

#[test]
fn exit_codes_tell_errors_from_wrong_use() {
    let temporary = tempfile::tempdir().unwrap();
    let bad = temporary.path().join("bad.yaml");
    fs::write(&bad, "apiVersion: ambassador/v1\nkind: Mapping\nname: a\nservice: b\n").unwrap();
    let bad = bad.to_str().unwrap();
    let demo = "examples/demo";
    let table: &[(&[&str], i32, &str)] = &[
        (&["check", demo], 0, "2 objects, all right"),
        (&["check", bad], 1, "bad.yaml:"),
        (&["check", bad, "--output", "json"], 1, "\"with_errors\": 1"),
        (&["check", "no/such/file"], 2, ""),
        (&["check"], 2, ""),
        (&["explain", "--config", demo, "GET", "/httpbin/headers"], 0, "sends     GET /headers"),
        (&["explain", "--config", demo, "POST", "/models/test/"], 0, "POST /model/test/:predict"),
        (&["explain", "--config", demo, "GET", "/models/test/"], 1, "method condition"),
        (&["explain", "--config", demo, "GET", "nonsense"], 2, ""),
        (&["explain", "--admin", "http://127.0.0.1:1", "GET", "/"], 1, ""),
        (&["ready", "http://127.0.0.1:1"], 1, "http://127.0.0.1:1/ not ready: can't connect"),
        (&["crds"], 0, "mappings.getambassador.io"),
        (&["completion", "bash"], 0, "_nuncio"),
        (&["--help"], 0, "Examples:"),
        (&["serve", "no/such/directory"], 2, ""),
    ];
    for (arguments, code, expected) in table {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}\n{text}");
        assert!(text.contains(expected), "{arguments:?}: no {expected:?} in\n{text}");
        let told = !output.stderr.is_empty();
        assert_eq!(told, expected.is_empty(), "{arguments:?} speaks on standard error: {told}");
    }
}

/// A running gateway, which ends with the test.
struct Gateway {
    child: Child,
    http: SocketAddr,
    admin: SocketAddr,
}

impl Gateway {
    fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null(), Stdio::null())
    }

    /// Standard output and standard error go there.
    fn start_with(mut command: Command, out: Stdio, errors: Stdio) -> Self {
        let (http, admin) = (free_port(), free_port());
        command.args(["--http-port", &http.port().to_string()]);
        command.args(["--admin-port", &admin.port().to_string()]);
        command.args(["--drain-delay", "2", "--workers", "1"]);
        command.stdout(out).stderr(errors);
        Self { child: command.spawn().expect("the binary runs"), http, admin }
    }

    fn ready(&self) -> String {
        ask(self.admin, "GET", "/ambassador/v0/check_ready", "").unwrap_or_default()
    }

    /// What is said about every object.
    fn diagnostics(&self) -> String {
        ask(self.admin, "GET", "/ambassador/v0/diag/?json=true", "").unwrap_or_default()
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    fn exit_code(mut self) -> Option<i32> {
        wait_for("the end", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The whole answer, or `None` where nobody listens.
fn ask(to: SocketAddr, method: &str, path: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_demonstration_serves_follows_files_and_drains() {
    let temporary = tempfile::tempdir().unwrap();
    let manifests = temporary.path().join("examples/demo");
    fs::create_dir_all(&manifests).unwrap();
    for name in ["httpbin.yaml", "tfserving.yaml"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo").join(name);
        fs::copy(from, manifests.join(name)).unwrap();
    }
    let gateway = Gateway::start(nuncio(&["demo"], temporary.path()));
    wait_for("readiness", || gateway.ready().starts_with("HTTP/1.1 200"));
    let both = [gateway.http, gateway.admin].map(|port| format!("http://{port}"));
    let told = run(&["ready", &both[0], &both[1]]);
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    let told = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told, format!("{}/ ready\n{}/ ready\n", both[0], both[1]));

    let http = |method: &str, path: &str, body: &str| ask(gateway.http, method, path, body);
    let headers = http("GET", "/httpbin/headers", "").unwrap();
    assert!(headers.contains(r#""Host":"httpbin.org""#), "{headers}");
    let body = r#"{"instances": [1.0, 2.0, 5.0]}"#;
    let predictions = http("POST", "/models/test/", body).unwrap();
    assert!(predictions.contains(r#"{"predictions":[2.5,3.0,4.5]}"#), "{predictions}");
    let wrong_method = http("GET", "/models/test/", "").unwrap();
    assert!(wrong_method.starts_with("HTTP/1.1 404"), "{wrong_method}");

    let file = manifests.join("httpbin.yaml");
    let text = fs::read_to_string(&file).unwrap().replace("/httpbin/", "/bin/");
    fs::write(&file, text).unwrap();
    let served = |path: &str| http("GET", path, "").unwrap().starts_with("HTTP/1.1 200");
    wait_for("the change", || served("/bin/headers") && !served("/httpbin/headers"));

    gateway.terminate();
    wait_for("the drain", || gateway.ready().starts_with("HTTP/1.1 503"));
    assert!(served("/bin/headers"), "requests are served while others learn that it goes");
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn without_its_cluster_a_gateway_lives_but_is_not_ready() {
    let temporary = tempfile::tempdir().unwrap();
    let kubeconfig = temporary.path().join("config");
    let text = "\
apiVersion: v1
kind: Config
current-context: none
contexts: [{name: none, context: {cluster: none, user: none}}]
clusters: [{name: none, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: none, user: {}}]
";
    fs::write(&kubeconfig, text).unwrap();
    let mut command = nuncio(&["run"], temporary.path());
    command.env("KUBECONFIG", &kubeconfig);
    let gateway = Gateway::start(command);
    wait_for("the admin port", || gateway.ready().starts_with("HTTP/1.1 503"));
    let told = run(&["ready", &format!("http://{}", gateway.admin)]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(String::from_utf8_lossy(&told.stdout).contains("not ready: 503"), "{told:?}");
    let alive = ask(gateway.admin, "GET", "/ambassador/v0/check_alive", "").unwrap();
    assert!(alive.ends_with("Ambassador is alive and well\n"), "{alive}");
    assert_eq!(ask(gateway.http, "GET", "/", ""), None, "nothing to serve, no port");
    gateway.terminate();
    assert_eq!(gateway.exit_code(), Some(0));
}
