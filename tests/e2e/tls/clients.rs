//! Clients' certificates: who is let in, who no longer is, and what upstreams are told.

use serde_json::json;

use super::Bench;
use crate::support::certificates::{Authority, Issued, opaque_secret};
use crate::support::peers::{Curl, Reply, handshake};
use crate::support::{PATIENCE, wait_until};

/// The header by which upstreams are told.
const TOLD: &str = "X-Forwarded-Client-Cert";

pub(super) fn certificates(bench: &Bench<'_>) {
    let (clients, others) = (Authority::new("clients"), Authority::new("others"));
    let [good, revoked] = ["good.client", "revoked.client"].map(|name| clients.issue(&[name]));
    let stranger = others.issue(&["stranger.client"]);
    let module = json!({"config": {
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": true, "dns": true},
    }});
    bench.apply(&[
        opaque_secret("clients", "tls.crt", &clients.pem()),
        opaque_secret("revoked", "crl.pem", &clients.revoke(&[])),
        bench.gateway.object("Module", "ambassador", module),
    ]);
    let required = json!({"ca_secret": "clients", "crl_secret": "revoked", "cert_required": true});
    bench.serve("required.example", json!({"tls": required}));
    bench.serve("optional.example", json!({"tls": {"ca_secret": "clients"}}));
    bench.serve("open.example", json!({}));

    let url = "https://required.example/";
    let is_told = |reply: &Reply, name: &str| {
        let told = reply.echoed(TOLD).unwrap_or_default();
        assert!(told.contains(&format!("Subject=\"CN={name}\"")), "{told}");
        assert!(told.contains(&format!("DNS={name}")), "{told}");
    };
    for name in [&good, &revoked].map(|it| bench.curl.get_as(it, url, &[]).expect("is let in")) {
        assert_eq!(name.status, 200);
    }
    is_told(&bench.curl.get_as(&good, url, &[]).expect("is let in"), "good.client");
    let none = bench.curl.get(url, &[]).expect_err("it has to show a certificate");
    assert!(none.contains("certificate required"), "{none}");
    let other = bench.curl.get_as(&stranger, url, &[]).expect_err("it is of another authority");
    assert!(other.contains("unknown ca"), "{other}");

    optional(bench, &is_told, (&good, &stranger));
    // Nobody comes by way of a name that asks for nothing.
    for version in ["--http2", "--http1.1"] {
        let other = ["-H", "Host: required.example", version];
        let reply = bench.curl.get("https://open.example/", &other).expect("an answer");
        assert_eq!(reply.status, 421, "{reply:?}");
    }
    revocation(bench, &clients, (&good, &revoked));
}

/// A new list is all that it takes, without a restart; and no session of before goes around it.
fn revocation(bench: &Bench<'_>, clients: &Authority, (good, revoked): (&Issued, &Issued)) {
    let before = bench.gateway.pods(8443);
    let session = bench.curl.authority().with_file_name("session").display().to_string();
    let [certificate, key] = bench.curl.files(revoked);
    let own = ["-tls1_2", "-cert", &certificate, "-key", &key];
    let shake_hands = |more: &[&str]| {
        let all = [&own[..], more].concat();
        handshake(before[0].1, Some("required.example"), &all)
    };
    assert_eq!(shake_hands(&["-sess_out", &session]).version(), Some("TLSv1.2"));
    assert!(shake_hands(&["-sess_in", &session]).is_resumed(), "who is let in is known again");

    bench.apply(&[opaque_secret("revoked", "crl.pem", &clients.revoke(&[revoked]))]);
    for (pod, address) in &before {
        let curl = bench.curl.to(&format!("tls-{pod}"), address.ip());
        let url = format!("https://required.example:{}/", address.port());
        let error = wait_until(&format!("{pod} refuses who is revoked"), PATIENCE, || {
            curl.get_as(revoked, &url, &[]).map_or_else(Ok, |reply| Err(format!("{reply:?}")))
        });
        assert!(error.contains("certificate revoked"), "{pod}: {error}");
        assert_eq!(curl.get_as(good, &url, &[]).map(|reply| reply.status), Ok(200), "{pod}");
    }
    let shown = shake_hands(&["-sess_in", &session]);
    assert!(!shown.is_resumed(), "{shown:?}");
    assert!(shown.error().contains("alert certificate revoked"), "{shown:?}");
    assert_eq!(before, bench.gateway.pods(8443), "no pod was started anew for that");
}

/// Who shows a certificate is told of, who shows none is let in as nobody.
fn optional(
    bench: &Bench<'_>,
    is_told: &dyn Fn(&Reply, &str),
    (good, stranger): (&Issued, &Issued),
) {
    let (curl, url): (&Curl, _) = (&bench.curl, "https://optional.example/");
    is_told(&curl.get_as(good, url, &[]).expect("is let in"), "good.client");
    let forged = ["-H", "X-Forwarded-Client-Cert: Subject=\"CN=good.client\""];
    let reply = curl.get(url, &forged).expect("nobody has to show one");
    assert_eq!((reply.status, reply.echoed(TOLD)), (200, None), "{reply:?}");
    let other = curl.get_as(stranger, url, &[]).expect_err("who shows one has to show a good one");
    assert!(other.contains("unknown ca"), "{other}");
}
