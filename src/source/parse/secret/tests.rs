use serde_json::{Value as Json, json};

use super::testing::{Made, authority, server};
use super::*;
use crate::model::tls::Certificate;

fn secret(kind: &str, strings: &Json) -> Json {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": {"name": "web", "namespace": "shop"}, "stringData": strings,
    })
}

fn contents(raw: &Json) -> Arc<SecretContents> {
    let (key, state) = parse_secret(raw).unwrap();
    assert_eq!(key.to_string(), "shop/web");
    match state {
        SecretState::Present(contents) => contents,
        other => panic!("{other:?}"),
    }
}

fn pair(certificate: &str, key: &str) -> Result<Option<Arc<Certificate>>, Arc<str>> {
    let raw = secret("kubernetes.io/tls", &json!({"tls.crt": certificate, "tls.key": key}));
    contents(&raw).certificate.clone()
}

fn error(certificate: &str, key: &str) -> String {
    pair(certificate, key).unwrap_err().to_string()
}

#[test]
fn a_certificate_is_read_with_its_chain_names_and_time() {
    let authority = authority("Test CA");
    let made = authority.signs("web", &["Web.Example.com", "*.example.com"]);
    let chain = made.pem.clone() + &authority.pem;
    let certificate = pair(&chain, &made.key).unwrap().unwrap();
    assert_eq!(certificate.names, ["web.example.com".into(), "*.example.com".into()]);
    assert_eq!(certificate.chain, [made.der.clone().into(), authority.der.clone().into()]);
    assert_eq!(certificate.key.expose(), made.key_der);
    assert_eq!((certificate.not_before, certificate.not_after), (1_767_225_600, 1_798_761_600));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &made.der);
    assert_eq!(certificate.fingerprint, digest.as_ref());
}

#[test]
fn data_is_base64_and_may_be_folded() {
    let made = server("web", &["web.example.com"]);
    let encode = |text: &str| serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap();
    let mut raw = secret("Opaque", &Json::Null);
    let folded = encode(&made.key).as_str().unwrap().replace('=', "=\n  ");
    raw["data"] = json!({"tls.crt": encode(&made.pem), "tls.key": folded, "password": 7});
    assert!(contents(&raw).certificate.as_ref().unwrap().is_some());
    raw["data"]["tls.crt"] = "~".into();
    let (_, state) = parse_secret(&raw).unwrap();
    let expected = "data.tls.crt is not base64: encode it, or write it as it is below stringData";
    assert_eq!(state, SecretState::Unreadable(expected.into()));
}

#[test]
fn istios_keys_and_a_common_name_are_taken() {
    let authority = authority("Mesh");
    let made = authority.signs("Web.Example.com", &[]);
    let raw = secret(
        "istio.io/key-and-cert",
        &json!({"cert-chain.pem": made.pem, "key.pem": made.key, "root-cert.pem": authority.pem}),
    );
    let contents = contents(&raw);
    let certificate = contents.certificate.clone().unwrap().unwrap();
    assert_eq!(certificate.names, ["web.example.com".into()]);
    let authorities = contents.authorities.clone().unwrap().unwrap();
    assert_eq!(authorities.0, [authority.der.into()]);
}

#[test]
fn what_is_in_tls_crt_is_trusted_and_not_what_is_above_it() {
    let (root, lower) = (authority("Root"), authority("Lower"));
    let raw = secret("Opaque", &json!({"tls.crt": lower.pem, "ca.crt": root.pem}));
    let authorities = contents(&raw).authorities.clone().unwrap().unwrap();
    assert_eq!(authorities.0, [lower.der.into()]);
    let raw = secret("Opaque", &json!({"ca.crt": root.pem.clone() + &lower.pem}));
    assert_eq!(contents(&raw).authorities.clone().unwrap().unwrap().0.len(), 2);
}

#[test]
fn a_server_is_no_authority() {
    let made = authority("Root").signs("web", &["web.example.com"]);
    let raw = secret("Opaque", &json!({"tls.crt": made.pem}));
    let message = "tls.crt holds no authority: its certificate (CN=web) is a server's or client's \
                   certificate; put the certificate of whoever has signed it there";
    assert_eq!(contents(&raw).authorities, Err(message.into()));
}

#[test]
fn revocation_lists_are_read() {
    let authority = authority("Root");
    let list = authority.revokes();
    let raw = secret("Opaque", &json!({"crl.pem": list.clone() + &list}));
    let contents = contents(&raw);
    assert_eq!(contents.revoked.clone().unwrap().unwrap().0.len(), 2);
    assert_eq!((&contents.certificate, &contents.authorities), (&Ok(None), &Ok(None)));
    let raw = secret("Opaque", &json!({"crl.pem": authority.pem}));
    let expected = "crl.pem holds CERTIFICATE, but no X509 CRL";
    assert_eq!(self::contents(&raw).revoked, Err(expected.into()));
    let broken = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    let raw = secret("Opaque", &json!({"crl.pem": broken}));
    let message = self::contents(&raw).revoked.clone().unwrap_err();
    assert!(
        message.starts_with("crl.pem: list 1 can't be read: it has to be an X.509 CRL"),
        "{message}"
    );
}

#[test]
fn every_way_to_be_wrong_is_told() {
    let Made { pem, key, .. } = server("web", &["web.example.com"]);
    let other = server("other", &["other.example.com"]);
    let cut = key.lines().take(2).collect::<Vec<_>>().join("\n");
    let damaged = "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n";
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let encrypted = "the private key in tls.key is encrypted, and there is nobody to ask for its \
                     passphrase: write it without one (openssl pkey -in tls.key -out tls.key)";
    let unusable = "the private key in tls.key can't be used: it has to be RSA of 2048 to 8192 \
                    bits, ECDSA (P-256, P-384, P-521) or Ed25519";
    let cases = [
        (error("", &key), "tls.crt is empty".to_owned()),
        (error("  \n", &key), "tls.crt is empty".to_owned()),
        (error("hello", &key), "tls.crt is not PEM: it has to begin with -----BEGIN CERTIFICATE-----".to_owned()),
        (error(&key, &key), "tls.crt holds PRIVATE KEY, but no CERTIFICATE".to_owned()),
        (error(&pem, &pem), "tls.key holds CERTIFICATE, but no PRIVATE KEY".to_owned()),
        (error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key),
         "tls.crt: its certificate can't be read: it is not a certificate (X.509)".to_owned()),
        (error(&(pem.clone() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), &key),
         "tls.crt: certificate 2 of 2 can't be read: it is not a certificate (X.509)".to_owned()),
        (error(&pem, &cut), "tls.key is cut off: its last -----END line is missing".to_owned()),
        (error(&pem, &key.replace("PRIVATE KEY-----", "PRIVATE KEY--")), "tls.key has a broken -----BEGIN line".to_owned()),
        (error(&pem, damaged), "tls.key is damaged: what stands between its BEGIN and END lines is not base64".to_owned()),
        (error(&pem, &key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")), encrypted.to_owned()),
        (error(&pem, old), encrypted.to_owned()),
        (error(&pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), unusable.to_owned()),
        (error(&pem, "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg=="),
         "tls.key is encoded in base64 twice: encode the PEM text once, or write it below stringData".to_owned()),
        (error(&pem, &other.key),
         "the private key in tls.key doesn't belong to the certificate in tls.crt (CN=web): they have to be made as a pair".to_owned()),
        (error(&(other.pem.clone() + &pem), &key),
         "the private key in tls.key belongs to certificate 2 of 2 of tls.crt: put the server's certificate first, and its intermediates after it".to_owned()),
        (error(&pem.repeat(17), &key),
         "tls.crt holds 17 certificates, more than 16: leave those that nobody needs out".to_owned()),
    ];
    for (actual, expected) in cases {
        assert_eq!(actual, expected);
    }
}

#[test]
fn der_and_missing_parts_are_told() {
    let made = server("web", &["web.example.com"]);
    let message = |strings: Json| contents(&secret("Opaque", &strings)).certificate.clone();
    assert_eq!(
        message(json!({"tls.crt": made.pem})),
        Err("tls.key is missing: put the private key there, in PEM".into())
    );
    assert_eq!(
        message(json!({"tls.key": made.key})),
        Err("tls.crt is missing: put the certificate, followed by its intermediates there, in PEM"
            .into())
    );
    assert_eq!(message(json!({"user.key": made.key, "token": 7})), Ok(None));
    let der = parse_pem_files(("/c.der", &made.der), Some(("/k.pem", made.key.as_bytes())));
    let expected = "/c.der is DER and not PEM: convert it with openssl, -inform DER -outform PEM";
    assert_eq!(der.certificate, Err(expected.into()));
}

#[test]
fn types_sizes_and_values_are_checked() {
    let state = |raw: &Json| parse_secret(raw).unwrap().1;
    let unreadable = |text: &str| SecretState::Unreadable(text.into());
    assert_eq!(
        state(&secret("kubernetes.io/basic-auth", &json!({}))),
        unreadable(
            "its type is \"kubernetes.io/basic-auth\", which holds no certificate: name a Secret of type kubernetes.io/tls or Opaque"
        )
    );
    let large = "x".repeat(MAX_BYTES + 1);
    assert_eq!(
        state(&secret("", &json!({"tls.crt": large}))),
        unreadable("tls.crt is larger than 1 MiB")
    );
    assert_eq!(
        state(&secret("", &json!({"tls.crt": 7}))),
        unreadable("stringData.tls.crt is not text: quote it, or write it after |")
    );
    assert_eq!(parse_secret(&json!({"metadata": {}})), None);
}

#[test]
fn files_are_read_as_secrets_are() {
    let made = server("web", &["web.example.com"]);
    let (chain, key) = (("/tls.crt", made.pem.as_bytes()), ("/tls.key", made.key.as_bytes()));
    let contents = parse_pem_files(chain, Some(key));
    assert!(contents.certificate.unwrap().is_some());
    assert!(contents.authorities.unwrap().is_some(), "it has signed itself");
    assert_eq!(parse_pem_files(chain, None).certificate, Ok(None));
}

#[test]
fn no_byte_of_a_key_is_shown() {
    let made = server("web", &["web.example.com"]);
    let other = server("other", &["other.example.com"]);
    let body = made.key.lines().nth(1).unwrap().to_owned();
    let shown = |strings: &Json| format!("{:?}", parse_secret(&secret("Opaque", strings)).unwrap());
    let texts = [
        shown(&json!({"tls.crt": made.pem, "tls.key": made.key})),
        shown(&json!({"tls.crt": other.pem, "tls.key": made.key})),
        shown(&json!({"tls.crt": made.key, "tls.key": made.key})),
        shown(&json!({"tls.crt": made.pem, "tls.key": body})),
        shown(&json!({"tls.crt": made.pem, "tls.key": format!("-----BEGIN {body}-----\n")})),
        shown(&json!({"tls.crt": made.pem, "tls.key": made.key.replace("-----END", "--END")})),
    ];
    let hex: String = made.key_der.iter().skip(40).take(8).map(|b| format!("{b}, ")).collect();
    for text in texts {
        assert!(!text.contains(&body[..12]), "{text}");
        assert!(!text.contains(hex.trim_end()), "{text}");
    }
}
