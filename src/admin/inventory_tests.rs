//! What the diagnostics say of what is served beside routes.

use serde_json::json;

use super::*;
use crate::model::Build;
use crate::model::snapshot::Defaults;
use crate::model::tls::{Certificate, KeyKind, Private, SecretKey};
use crate::source::parse::{ParseSettings, parse_file};
use crate::source::store::Store;
use crate::source::{Event, settle};

const NOW: i64 = 1_000;

const TEXT: &str = "\
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: https}
spec: {port: 8443, protocol: HTTPS, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: TLSContext
metadata: {name: strict}
spec: {hosts: [db.example], secret: cert, min_tls_version: v1.3}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: shop}
spec: {hostname: shop.example, tlsContext: {name: strict}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: gone}
spec: {hostname: gone.example, tlsSecret: {name: gone}}
---
apiVersion: getambassador.io/v3alpha1
kind: TCPMapping
metadata: {name: db}
spec: {port: 8443, host: db.example, service: 'db:5432'}
";

fn inventory() -> Map<String, Json> {
    let mut store = Store::new(Defaults { namespace: "default".into(), ..Defaults::default() }, []);
    store.apply(Event::Put(parse_file("a.yaml", TEXT, &ParseSettings::default())));
    let certificate = Certificate {
        fingerprint: [1; 32],
        chain: vec![],
        key: Private::new(*b"canary"),
        key_kind: KeyKind::Ecdsa,
        names: vec!["shop.example".into()],
        not_before: 0,
        not_after: 500,
    };
    let contents = SecretContents {
        certificate: Ok(Some(Arc::new(certificate))),
        authorities: Err("tls.crt holds no authority".into()),
        revoked: Ok(None),
    };
    let key = SecretKey { namespace: "default".into(), name: "cert".into() };
    let state = SecretState::Present(Arc::new(contents));
    store.apply(Event::Pem(PemSource::Secret(key), Some(state)));
    let build = Arc::new(settle::build(&mut store, &Build::default()));
    let secrets = Arc::clone(&store.snapshot().secrets);
    let built = Built { build, secrets, ..Built::default() };
    build_inventory(&built, Process::default(), NOW)
}

#[test]
fn hosts_are_told_with_their_certificates() {
    let page = inventory();
    let [gone, shop] = page["hosts"].as_array().unwrap().as_slice() else {
        panic!("{}", page["hosts"])
    };
    assert_eq!((&gone["state"], &gone["tls"]), (&json!("closed"), &Json::Null));
    assert_eq!((&shop["state"], &shop["ports"]), (&json!("served"), &json!([8443])));
    let certificate = &shop["tls"]["certificate"];
    assert_eq!(certificate["source"], "Secret default/cert");
    assert_eq!(certificate["validity"], "expired");
    let min = json!({
        "name": "min_tls_version", "value": "v1.3",
        "from": {
            "source": "object", "object": "TLSContext default/strict", "field": "min_tls_version",
        },
    });
    assert!(shop["tls"]["values"].as_array().unwrap().contains(&min), "{shop}");
}

#[test]
fn secrets_are_told_by_name_and_state() {
    let page = inventory();
    let secrets = page["secrets"].as_array().unwrap();
    let of = |name: &str| secrets.iter().find(|secret| secret["name"] == name).unwrap();
    assert_eq!(of("Secret default/gone")["state"], "missing");
    let read = of("Secret default/cert");
    assert_eq!(read["state"], "read");
    assert_eq!(read["holds"]["authorities"]["problem"], "tls.crt holds no authority");
    assert_eq!(read["holds"]["revoked"], Json::Null);
    assert!(!json!(page).to_string().contains("canary"));
}

#[test]
fn ports_contexts_and_connections_are_told() {
    let page = inventory();
    assert_eq!(page["listeners"][0]["port"], 8443);
    assert_eq!(page["listeners"][0]["hosts"], 2);
    assert_eq!(page["tls_contexts"][0]["certificate"], "Secret default/cert");
    assert_eq!(page["tcp"][0]["tls"], "ended here");
    assert_eq!(page["tcp"][0]["host"], "db.example");
    assert_eq!(page["left_out"], json!({}));
}

#[test]
fn a_list_is_told_as_far_as_it_is_of_use() {
    let states = (0..SHOWN + 5).map(|n| {
        let name = format!("s{n}").into();
        (SecretKey { namespace: "default".into(), name }, SecretState::Missing)
    });
    let built = Built { secrets: Arc::new(states.collect()), ..Built::default() };
    let page = build_inventory(&built, Process::default(), NOW);
    assert_eq!(page["secrets"].as_array().unwrap().len(), SHOWN);
    assert_eq!(page["left_out"], json!({"secrets": 5}));
}
