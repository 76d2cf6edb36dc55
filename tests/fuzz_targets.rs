//! Runs the fuzz targets on a small corpus, on its mutations and on random bytes, so that they
//! compile and hold in every test run. The seed is fixed; `cargo fuzz` looks further.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

type Target = fn(&[u8]);

const ROUNDS: usize = 60;

/// A certificate and its key, made for this test.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
             MIIBkDCCATagAwIBAgIUQOa+DUa8Jy5xSd5AoJOCw3PhapUwCgYIKoZIzj0EAwIw\n\
             DzENMAsGA1UEAwwEZ29vZDAeFw0yNjAxMDEwMDAwMDBaFw00NTEyMjcwMDAwMDBa\n\
             MA8xDTALBgNVBAMMBGdvb2QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQZL3hI\n\
             Uu++HWWe7ICTrodbgpV0u5CuNrmzS1wGyCmRQbAEqf8lft8xGYH+icVk+OpAFLki\n\
             cMksNIlZvfenpYRgo3AwbjAdBgNVHQ4EFgQU+5Bx3VTInznmaEfE08FI1iauzNQw\n\
             HwYDVR0jBBgwFoAU+5Bx3VTInznmaEfE08FI1iauzNQwDwYDVR0TAQH/BAUwAwEB\n\
             /zAbBgNVHREEFDASghBnb29kLmV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUC\n\
             IDAxO711cZcpx6WzK3bnmeDEDmSESqlwKKbZfRRfBipFAiEA2wUwQ7YwPNtMi5IT\n\
             j1Xtk5UUJFxFCwV1ddIRuSelJjM=\n\
             -----END CERTIFICATE-----\n\
             \0-----BEGIN PRIVATE KEY-----\n\
             MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVMDuhhWUgonCzRLp\n\
             UHOKHysNfAs7wD8BGzbHF9t6ouyhRANCAAQZL3hIUu++HWWe7ICTrodbgpV0u5Cu\n\
             NrmzS1wGyCmRQbAEqf8lft8xGYH+icVk+OpAFLkicMksNIlZvfenpYRg\n\
             -----END PRIVATE KEY-----\n";

const TARGETS: [(&str, Target, &[&str]); 9] = [
    (
        "secret",
        targets::secret,
        &[
            CERTIFICATE,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\0-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "\0\0-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
        ],
    ),
    (
        "module",
        targets::module,
        &[
            "ip_allow: [{\"peer\": \"127.0.0.1/32\"}, {\"remote\": \"10.0.0.0/8\"}]",
            "ip_deny: [{\"peer\": \"127.0.0.1\"}, {\"remote\": \"2001:db8::/33\"}]",
            "ip_deny: \"10.0.0.0/8\"",
            "ip_deny: []",
            "retry_policy: {\"retry_on\": \"5xx,gateway-error\", \"per_try_timeout\": \"0.25s\"}",
            "cors: {\"origins\": \"https://a.example, *\", \"max_age\": \"86400\"}",
            "gzip: {\"window_bits\": 15, \"content_type\": [\"text/html\"], \"min_content_length\": 30}",
            "circuit_breakers: [{\"priority\": \"high\", \"max_requests\": 10}]",
            "envoy_log_format: %REQ(X-USER?:PATH):20% %DURATION%",
            "buffer: {\"max_request_bytes\": 1000}",
            "load_balancer: {\"policy\": \"ring_hash\", \"cookie\": {\"name\": \"a\", \"ttl\": \"60s\"}}",
            "max_request_headers_kb: 96",
        ],
    ),
    (
        "template",
        targets::template,
        &[
            "",
            "plain",
            "100%%",
            "%REQ(x-user?x-other):3% %RESPONSE_CODE%",
            "%RESP(:status)%%PROTOCOL%\t%%",
            "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%,%NOBODY%",
            "%REQ()%%REQ(a?)%",
            "é%",
        ],
    ),
    (
        "annotation",
        targets::annotation,
        &[
            "---\napiVersion: ambassador/v0\nkind:  Mapping\nname:  a\nprefix: /a/\nservice: b:80\n",
            "apiVersion: ambassador/v2\nkind: Mapping\nmetadata: {name: a}\nspec: {prefix: /, service: b}\n---\n- x\n",
            "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: a\nhostname: '*'\nprefix: '/[a-z]+'\nprefix_regex: yes\nweight: 20\nservice: b\nadd_request_headers: {x: '%REQ(y)%'}\n",
            "a: &a [*a, *a]\n--- >\n  text\n...\n%YAML 1.1\n--- \"\\x00\"\n",
        ],
    ),
    (
        "path",
        targets::path,
        &[
            "/",
            "/a/../b",
            "/%2e%2E/%2f",
            "\\a\\..\\b",
            "/a/./b//..",
            "/%00",
            "/%",
            "/é/%c3%a9/.%2e",
        ],
    ),
    (
        "grpc_web_text",
        targets::grpc_web_text,
        &["", "AAAAAANhYmM=", "AA==AAAA", "AAA", "AA=A", "A===", "gAAAAA9ncnBjLXN0YXR1czowDQo="],
    ),
    (
        "host_header",
        targets::host_header,
        &[
            "www.example.com",
            "WWW.Example.COM:8080",
            "[::1]:80",
            "",
            ":",
            "w",
            "www.",
            ".com",
            "é.example:1",
        ],
    ),
    (
        "regex",
        targets::regex,
        &[
            "a(b|c)*\nabcb",
            "[[:alpha:]]+\nabc",
            "\\Qa.b\\E\na.b",
            "(?i)é\\b\né",
            "x{3,5}?\nxxxx",
            "[&&a--b~~]\n&",
            "\\pL\\d\\s\nä1 ",
        ],
    ),
    (
        "service",
        targets::service,
        &[
            "web",
            "web.shop:8080",
            "http://Web:81/x?y#z",
            "[2001:db8::1]:80",
            "user@web",
            "10.0.0.1",
            "a-b.c_d.:1",
            "https://web",
            ":",
            "[",
            "web:99999",
        ],
    ),
];

#[test]
fn targets_hold() {
    let mut random = fastrand::Rng::with_seed(0x6e75_6e63_696f);
    for (name, target, corpus) in TARGETS {
        for seed in corpus {
            run(name, target, seed.as_bytes());
            for _ in 0..ROUNDS {
                run(name, target, &mutate(seed.as_bytes(), corpus, &mut random));
            }
        }
        for _ in 0..ROUNDS {
            let bytes: Vec<u8> = (0..random.usize(..64)).map(|_| random.u8(..128)).collect();
            run(name, target, &bytes);
        }
    }
}

/// Says which bytes broke a promise.
fn run(name: &str, target: Target, bytes: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    assert!(outcome.is_ok(), "{name} fails on {:?}", String::from_utf8_lossy(bytes));
}

/// Some bytes replaced, dropped, doubled, or joined with another seed.
fn mutate(seed: &[u8], corpus: &[&str], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=bytes.len());
        match random.u8(..5) {
            0 if at < bytes.len() => bytes[at] = random.u8(..128),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at, random.u8(..128)),
            3 => {
                let end = random.usize(at..=bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = corpus[random.usize(..corpus.len())].as_bytes();
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.usize(..=other.len())..]);
            }
        }
    }
    bytes
}

#[test]
fn broken_promises_are_seen() {
    let outcome = catch_unwind(|| run("broken", |bytes| assert!(bytes.is_empty()), b"x"));
    assert!(outcome.is_err());
}
