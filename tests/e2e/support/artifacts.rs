//! A stand-in for Flux's source-controller: it offers artifacts by Flux's ExternalArtifact
//! contract. Source-controller itself can't be compiled from what the module proxy serves.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::Namespace;
use super::kubectl::{run, with_input};

/// A server of archives, by path.
#[derive(Debug)]
pub(crate) struct Artifacts {
    address: SocketAddr,
    archives: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

impl Artifacts {
    /// Listens on the loopback interface until the process ends.
    pub(crate) fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let archives: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
        let served = Arc::clone(&archives);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(&stream, &served.lock()); // who hangs up asks again
            }
        });
        Self { address, archives }
    }

    /// Offers a revision of the source `name`: these files, by name.
    pub(crate) fn publish(&self, namespace: &Namespace, name: &str, files: &[(&str, String)]) {
        let folder = tempfile::tempdir().expect("a folder");
        for (file, text) in files {
            fs::write(folder.path().join(file), text).expect("a file");
        }
        let (archive, digest) = pack(folder.path());
        let path = format!("/{name}/{digest}.tar.gz");
        let artifact = json!({
            "path": path, "url": format!("http://{}{path}", self.address),
            "digest": format!("sha256:{digest}"), "revision": format!("latest@sha256:{digest}"),
            "size": archive.len(), "lastUpdateTime": jiff::Timestamp::now().strftime("%FT%TZ").to_string(),
        });
        self.archives.lock().insert(path, archive);
        announce(namespace, name, &artifact);
    }
}

/// The archive of a folder, and its SHA-256.
fn pack(folder: &Path) -> (Vec<u8>, String) {
    let archive = folder.with_extension("tar.gz");
    let mut tar = Command::new("tar");
    run(tar.arg("-czf").arg(&archive).arg("-C").arg(folder).arg("."), "").succeed();
    let sum = run(Command::new("sha256sum").arg(&archive), "").succeed();
    let bytes = fs::read(&archive).expect("tar wrote it");
    fs::remove_file(&archive).expect("it is ours");
    (bytes, sum.split(' ').next().unwrap_or_default().to_owned())
}

/// Writes the ExternalArtifact and its status, as a source controller of one's own does.
fn announce(namespace: &Namespace, name: &str, artifact: &Value) {
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Succeeded", "message": "published",
        "lastTransitionTime": artifact["lastUpdateTime"],
    });
    let mut object = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact",
        "metadata": {"name": name, "namespace": namespace.name}, "spec": {},
    });
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    with_input(&apply, &object.to_string()).succeed();
    object["status"] = json!({"artifact": artifact, "conditions": [ready]});
    let status = [&apply[..], &["--subresource=status"]].concat();
    with_input(&status, &object.to_string()).succeed();
}

/// One request, one answer.
fn answer(mut stream: &TcpStream, archives: &HashMap<String, Vec<u8>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match archives.get(path) {
        Some(archive) => ("200 OK", &archive[..]),
        None => ("404 Not Found", &[][..]),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")?;
    stream.write_all(body)
}
