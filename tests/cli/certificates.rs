//! A certificate that is renewed by mistake with something else, as a client sees it, with openssl.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Gateway, free_port, nuncio, wait_for};

/// Makes a pair for a name; the certificate and its key.
fn make(directory: &Path, name: &str) -> (String, String) {
    let paths = ["crt", "key"].map(|end| directory.join(format!("{name}.{end}")));
    let [certificate, key] = paths.each_ref().map(|path| path.to_str().unwrap());
    let subject = format!("/CN={name}");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "90", "-subj", &subject, "-out", certificate, "-keyout", key])
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl runs").success());
    let [certificate, key] = paths.map(|path| fs::read_to_string(path).unwrap());
    (certificate, key)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn secret(certificate: &str, key: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: web}}\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(certificate),
        indented(key)
    )
}

/// Whose certificate is shown; empty where there is no handshake.
fn shown(port: SocketAddr, name: &str) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &port.to_string(), "-servername", name])
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let subject = text.lines().find_map(|line| line.strip_prefix("subject="));
    subject.unwrap_or_default().replace(' ', "")
}

#[test]
fn the_last_good_certificate_is_served_until_there_is_another() {
    let temporary = tempfile::tempdir().unwrap();
    let (first, first_key) = make(temporary.path(), "first");
    let (second, second_key) = make(temporary.path(), "second");
    let directory = temporary.path().join("manifests");
    fs::create_dir(&directory).unwrap();
    let port = free_port();
    let objects = format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {{name: tls}}\n\
         spec: {{port: {}, protocol: HTTPS, securityModel: SECURE, hostBinding: {{namespace: {{from: ALL}}}}}}\n---\n\
         apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: web}}\n\
         spec: {{hostname: web.example.com, tlsSecret: {{name: web}}}}\n---\n\
         apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: other}}\n\
         spec: {{hostname: other.example.com, tlsSecret: {{name: other}}}}\n",
        port.port()
    );
    fs::write(directory.join("objects.yaml"), objects).unwrap();
    let file = directory.join("secret.yaml");
    fs::write(&file, secret(&first, &first_key)).unwrap();

    let gateway = Gateway::start(nuncio(&["serve", "manifests"], temporary.path()));
    wait_for("readiness", || gateway.ready().starts_with("HTTP/1.1 200"));
    wait_for("TLS", || shown(port, "web.example.com") == "CN=first");
    assert_eq!(shown(port, "other.example.com"), "", "it never had a certificate");
    // Each is taken in before it is looked whether it did harm.
    let broken = [
        ("belong to the certificate", secret(&second, &first_key)),
        ("is not PEM", secret("?", &first_key)),
    ];
    for (told, text) in broken {
        fs::write(&file, text).unwrap();
        wait_for(told, || gateway.diagnostics().contains(told));
        assert_eq!(shown(port, "web.example.com"), "CN=first", "{told}");
    }
    fs::remove_file(&file).unwrap();
    wait_for("the deletion", || gateway.diagnostics().contains("there is no Secret default/web"));
    assert_eq!(shown(port, "web.example.com"), "CN=first", "deleted");

    fs::write(&file, secret(&second, &second_key)).unwrap();
    wait_for("the new one", || shown(port, "web.example.com") == "CN=second");
    assert!(!gateway.diagnostics().contains("Served as before"));
}
