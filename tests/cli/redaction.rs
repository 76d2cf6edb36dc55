//! What is secret stays secret: private keys, other values of Secrets, tokens that a Mapping adds
//! from the environment, and what clients prove themselves with. Nothing that the gateway writes or
//! tells anybody holds a byte of them: its log at the finest level, its access log, metrics,
//! diagnostics, explanations, `nuncio check`, and `Debug` of everything that a build is made of.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use nuncio::admin::explain::{Question, Served, explain};
use nuncio::admin::values::Process;
use nuncio::model::Build;
use nuncio::model::snapshot::Defaults;
use nuncio::routing::RouteTable;
use nuncio::source::parse::{ParseSettings, parse_file};
use nuncio::source::store::Store;
use nuncio::source::{Event, settle};

use crate::{Gateway, ask, free_port, nuncio, wait_for};

/// Each stands in one place that must not be told.
const CANARIES: [&str; 9] = [
    "canary-of-the-environment",
    "canary-of-a-cookie",
    "canary-of-an-answer",
    "canary-of-authorization",
    "canary-of-opaque-data",
    "Y2FuYXJ5LW9mLW9wYXF1ZS1kYXRh", // the same in base64
    "canary-of-a-broken-key",
    "canary-of-broken-yaml",
    "canary-of-a-match",
];

/// A key, and what nobody may find of it.
struct Key {
    pem: String,
    certificate: String,
    traces: Vec<String>,
}

fn key(name: &str) -> Key {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let pem = made.signing_key.serialize_pem();
    let der = made.signing_key.serialize_der();
    // PKCS#8 of P-256: the scalar stands behind its version, in an octet string of 32 bytes. What is
    // around it is the same in every key, or public.
    let at = der.windows(5).position(|window| window == [2, 1, 1, 4, 32]).expect("a key") + 5;
    let scalar = &der[at..at + 32];
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let base64 = &body[at.div_ceil(3) * 4..(at + 32) / 3 * 4];
    let hex: String = scalar.iter().map(|byte| format!("{byte:02x}")).collect();
    let debug = format!("{:?}", &scalar[..8]);
    let pretty: Vec<String> = scalar[..4].iter().map(u8::to_string).collect();
    let traces = vec![
        base64[..20].to_owned(),
        base64[20..].to_owned(),
        hex[..24].to_owned(),
        hex[..24].to_uppercase(),
        debug[1..debug.len() - 1].to_owned(),
        scalar[..6].escape_ascii().to_string(),
        pretty.join(",\n"),
    ];
    Key { pem, certificate: made.cert.pem(), traces }
}

/// What a text must not hold.
struct Secrets {
    traces: Vec<String>,
}

impl Secrets {
    fn assert_absent(&self, from: &str, text: &str) {
        for trace in self.traces.iter().map(String::as_str).chain(CANARIES) {
            let before = text.find(trace).map(|at| {
                let before: Vec<char> = text[..at].chars().rev().take(300).collect();
                before.into_iter().rev().collect::<String>()
            });
            assert_eq!(before, None, "{from} holds {trace:?}, behind that text");
        }
        assert!(!text.contains("PRIVATE KEY-----\n"), "{from} holds a private key");
    }
}

/// Secrets in every state that they can have, and who names them.
fn manifests(port: u16, upstream: u16, keys: &[Key; 3]) -> String {
    let indent = |pem: &str| pem.replace('\n', "\n    ");
    let secret = |name: &str, certificate: &str, key: &str| {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\n\
             type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n\
             \x20 password: canary-of-opaque-data\n",
            indent(certificate),
            indent(key)
        )
    };
    let [good, other, twisted] = keys;
    let broken = "-----BEGIN PRIVATE KEY-----\ncanary-of-a-broken-key\n-----END PRIVATE KEY-----\n";
    let mut text = [
        secret("good", &good.certificate, &good.pem),
        secret("mismatch", &good.certificate, &other.pem),
        secret("twisted", &twisted.pem, &twisted.certificate),
        secret("broken", &good.certificate, broken),
        secret("junk", "canary-of-a-broken-key", "canary-of-a-broken-key"),
    ]
    .concat();
    let head = "---\napiVersion: getambassador.io/v3alpha1\nkind:";
    for name in ["good", "mismatch", "twisted", "broken", "junk"] {
        text.push_str(&format!(
            "{head} Host\nmetadata: {{name: {name}}}\n\
             spec: {{hostname: {name}.example, tlsSecret: {{name: {name}}}}}\n\
             {head} TLSContext\nmetadata: {{name: {name}}}\n\
             spec: {{hosts: [{name}.other], secret: {name}, ca_secret: {name}}}\n",
        ));
    }
    text.push_str(&format!(
        "{head} Listener\nmetadata: {{name: https}}\n\
         spec: {{port: {port}, protocol: HTTPS, securityModel: XFP, hostBinding: {{namespace: {{from: ALL}}}}}}\n\
         {head} Mapping\nmetadata: {{name: upstream}}\n\
         spec:\n  hostname: '*'\n  prefix: /\n  service: 127.0.0.1:{upstream}\n\
         \x20 add_request_headers: {{authorization: 'Bearer ${{TOKEN}}'}}\n\
         {head} Mapping\nmetadata: {{name: matching}}\n\
         spec: {{hostname: '*', prefix: /, service: nobody, headers: {{x-api-key: canary-of-a-match}}}}\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: yaml}}\n\
         data: {{tls.key: canary-of-broken-yaml, tls.crt: [\n",
    ));
    text
}

/// An upstream that sets a cookie, and tells how often it was asked with the token.
fn serve_upstream() -> (u16, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let mut with_token = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut ends = false;
            while let Some(Ok(line)) =
                lines.next().filter(|line| !matches!(line, Ok(l) if l.is_empty()))
            {
                with_token += usize::from(line.contains("canary-of-the-environment"));
                ends |= line.starts_with("GET /end");
            }
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nset-cookie: s=canary-of-an-answer\r\n\
                  connection: close\r\n\r\n",
            );
            if ends {
                break;
            }
        }
        with_token
    });
    (port, serving)
}

fn curl(arguments: &[&str], port: u16, path: &str) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--max-time", "20", "--fail"])
        .args(["--resolve", &format!("good.example:{port}:127.0.0.1")])
        .args(["--header", "cookie: s=canary-of-a-cookie"])
        .args(["--header", "authorization: Bearer canary-of-authorization"])
        .args(arguments)
        .arg(format!("https://good.example:{port}{path}"))
        .output()
        .expect("curl is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nothing_that_is_secret_is_told_by_a_gateway() {
    let keys = [key("good.example"), key("other.example"), key("twisted.example")];
    let (port, (upstream, serving)) = (free_port().port(), serve_upstream());
    let temporary = tempfile::tempdir().unwrap();
    let configuration = temporary.path().join("manifests");
    fs::create_dir(&configuration).unwrap();
    fs::write(configuration.join("all.yaml"), manifests(port, upstream, &keys)).unwrap();
    let secrets = Secrets { traces: keys.iter().flat_map(|key| key.traces.clone()).collect() };

    let files = ["out", "errors"].map(|name| temporary.path().join(name));
    let [out, errors] = files.each_ref().map(|path| Stdio::from(File::create(path).unwrap()));
    let mut command = nuncio(&["serve", "manifests"], temporary.path());
    command.env("TOKEN", "canary-of-the-environment").env("AES_LOG_LEVEL", "trace");
    let gateway = Gateway::start_with(command, out, errors);
    wait_for("readiness", || gateway.ready().starts_with("HTTP/1.1 200"));

    curl(&["--http1.1"], port, "/");
    curl(&["--http2"], port, "/");
    curl(&["--http2"], port, "/end");
    assert_eq!(serving.join().unwrap(), 3, "the token went upstream");

    let admin = |path: &str| ask(gateway.admin, "GET", path, "").unwrap();
    let json = admin("/ambassador/v0/diag/?json=true");
    for told in ["Secret default/good", "Secret default/mismatch", "[redacted]"] {
        assert!(json.contains(told), "no {told:?} in {json}");
    }
    secrets.assert_absent("the diagnostics", &json);
    let question = format!("https://good.example:{port}/");
    for path in [
        "/ambassador/v0/diag/".to_owned(),
        "/metrics".to_owned(),
        format!("/ambassador/v0/diag/explain?url={question}"),
        format!("/ambassador/v0/diag/explain?url={question}&header=x-api-key:canary"),
    ] {
        secrets.assert_absent(&path, &admin(&path));
    }
    let admin_url = format!("http://{}", gateway.admin);
    for arguments in [
        &["check", "manifests"][..],
        &["check", "manifests", "--output", "json"],
        &["explain", "--config", "manifests", "GET", &question, "--all"],
        &["explain", "--admin", &admin_url, "GET", &question, "--output", "json"],
    ] {
        let mut command = nuncio(arguments, temporary.path());
        let output = command.env("TOKEN", "canary-of-the-environment").output().unwrap();
        let text = [output.stdout, output.stderr].map(|part| String::from_utf8(part).unwrap());
        assert!(text[0].contains("default/good"), "{arguments:?}: {text:?}");
        // The author's own file is shown at the place of a mistake: only its own lines of YAML.
        let text = text.concat();
        secrets.assert_absent(&format!("{arguments:?}"), &text);
    }

    gateway.terminate();
    assert_eq!(gateway.exit_code(), Some(0));
    let log = fs::read_to_string(&files[1]).unwrap();
    assert!(log.contains("TRACE"), "the finest level is on");
    for path in &files {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        assert!(text.lines().count() > 2, "{} is empty", path.display());
        secrets.assert_absent(&path.display().to_string(), &text);
    }
}

#[test]
fn nothing_that_is_secret_is_in_a_dump() {
    let keys = [key("good.example"), key("other.example"), key("twisted.example")];
    let traces = keys.iter().flat_map(|key| key.traces.clone()).collect();
    let secrets = Secrets { traces };
    // A Mapping's own text is no secret in a dump; what Secrets hold is.
    let text = manifests(8443, 8080, &keys).replace("canary-of-a-match", "match");
    let statement = parse_file("in.yaml", &text, &ParseSettings::default());
    assert_eq!(statement.secrets.len(), 5);
    let mut dumps = vec![format!("{statement:?}{statement:#?}")];
    let mut store = Store::new(Defaults::default(), []);
    store.apply(Event::Put(statement));
    let build = settle::build(&mut store, &Build::default());
    let table = RouteTable::compile(&build.config, &RouteTable::default());
    let served =
        Served { table: &table, build: &build, process: Process::default(), now: 1_800_000_000 };
    let question = Question::parse("GET", "https://good.example:8443/", &[]).unwrap();
    let explanation = explain(&served, &question);
    assert!(explanation.tls.as_ref().is_some_and(|tls| tls.certificate.is_some()));
    dumps.push(format!("{store:?}{build:?}{table:?}{explanation:?}"));
    dumps.push(format!("{store:#?}{build:#?}{table:#?}{explanation:#?}"));
    for report in build.reports.iter() {
        dumps.push(format!("{:?}", report.conditions()));
    }
    for dump in &dumps {
        secrets.assert_absent("a dump", dump);
    }
    assert!(dumps.concat().contains("[redacted]"), "the keys are there, hidden");
}

#[test]
fn a_certificate_file_is_checked_as_the_gateway_reads_it() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).display().to_string();
    let [good, other] = [key("good.example"), key("other.example")];
    fs::write(path("good.crt"), &good.certificate).unwrap();
    fs::write(path("good.key"), &good.pem).unwrap();
    fs::write(path("other.key"), &other.pem).unwrap();
    fs::write(path("no.crt"), "no certificate").unwrap();
    fs::write(path("expired.crt"), expired(&path("expired.key"))).unwrap();
    for (certificate, key, code, expected) in [
        ("good.crt", "good.key", 0, "all right"),
        ("good.crt", "other.key", 1, "doesn't belong to the certificate"),
        ("no.crt", "good.key", 1, "no.crt can't be used"),
        ("none.crt", "good.key", 1, "there is no file"),
        ("expired.crt", "expired.key", 1, "was valid until 2001-01-01"),
    ] {
        let text = format!(
            "apiVersion: getambassador.io/v3alpha1\nkind: TLSContext\nmetadata: {{name: a}}\n\
             spec: {{cert_chain_file: {}, private_key_file: {}}}\n",
            path(certificate),
            path(key)
        );
        fs::write(path("context.yaml"), text).unwrap();
        let output = nuncio(&["check", "context.yaml"], temporary.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // Lines are wrapped where they are long.
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(code), "{certificate} {key}: {text}");
        assert!(flat.contains(expected), "{certificate} {key}: no {expected:?} in {text}");
    }
}

/// A certificate whose time is over; its key is written there.
fn expired(key: &str) -> String {
    let pair = rcgen::KeyPair::generate().unwrap();
    fs::write(Path::new(key), pair.serialize_pem()).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["old.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    params.self_signed(&pair).unwrap().pem()
}
