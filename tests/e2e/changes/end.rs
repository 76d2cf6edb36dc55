//! What is served in the end.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpStream};

use http::Request;

use super::steps;
use crate::support::certificate::Certificate;
use crate::support::client::{Answer, Client};
use crate::support::release::Release;
use crate::support::status::is_ready;
use crate::support::{Namespace, PATIENCE, wait_until};

/// All of our kinds that there are.
const KINDS: &str = "mappings,hosts,listeners,tlscontexts,tcpmappings";

/// Until every object is told to be served in its last generation.
pub(super) fn wait_all_ready(namespace: &Namespace) {
    wait_until("all objects are Ready", PATIENCE, || {
        let list = namespace.get(KINDS)?;
        let objects = list["items"].as_array().ok_or("no list")?;
        match objects.iter().find(|object| !is_ready(object)) {
            None => Ok(()),
            Some(object) => Err(object.to_string()),
        }
    });
}

/// What is served is what the objects say that are there now.
pub(super) fn assert_served(
    namespace: &Namespace,
    release: &Release<'_>,
    certificates: &[Certificate],
) {
    wait_all_ready(namespace);
    let mut client = Client::to(SocketAddr::new(release.address(), 80));
    // What is deleted has no status to wait for.
    for (path, stays) in steps::routes() {
        wait_until(&format!("{path} stays: {stays}"), PATIENCE, || {
            let answer = get(&mut client, "loaded.example", &path);
            let is_right = if stays { answer.is_of("v2") } else { answer.status == 404 };
            if is_right { Ok(()) } else { Err(answer.shown()) }
        });
    }
    for (host, stays) in steps::hosts() {
        wait_until(&format!("{host} stays: {stays}"), PATIENCE, || {
            let answer = get(&mut client, &host, "/loaded/");
            let status = if stays { 200 } else { 404 };
            if answer.status == status { Ok(()) } else { Err(answer.shown()) }
        });
    }
    let answer = get(&mut client, "loaded.example", "/loaded/");
    assert!(answer.is_of(steps::last_version()), "{}", answer.shown());
    for (_, address) in release.pods(8080) {
        wait_for_ports(address.ip());
    }
    wait_for_certificate(release, certificates);
    wait_for_endpoints(namespace, &mut client);
}

fn wait_for_ports(pod: IpAddr) {
    for (port, stays) in steps::ports() {
        wait_until(&format!("port {port} of {pod} stays: {stays}"), PATIENCE, || {
            let open = TcpStream::connect(SocketAddr::new(pod, port)).is_ok();
            if open == stays { Ok(()) } else { Err(format!("open: {open}")) }
        });
    }
}

/// Clients that trust the last one alone are served, by Hosts with and without a TLSContext.
fn wait_for_certificate(release: &Release<'_>, certificates: &[Certificate]) {
    let https = SocketAddr::new(release.address(), 443);
    let last = steps::last_certificate(certificates);
    for name in ["loaded.example", "context.example"] {
        let answer = wait_until("the last certificate is shown", PATIENCE, || {
            last.get(name, https, "/loaded/")
        });
        assert_eq!(answer["version"], steps::last_version(), "{answer}");
        let before = certificates.iter().find(|one| one.path() != last.path());
        let refused = before.expect("several").get(name, https, "/loaded/");
        assert!(refused.is_err(), "an older certificate: {refused:?}");
    }
}

fn wait_for_endpoints(namespace: &Namespace, client: &mut Client) {
    let pods = steps::backend_pods(namespace);
    let ready = steps::ready_pods(&pods, steps::CHANGES);
    wait_until("the last endpoints answer", PATIENCE, || {
        let answers = (0..20).map(|_| get(client, "loaded.example", "/direct/"));
        let versions: BTreeSet<_> = answers.map(|answer| answer.version()).collect();
        let is_right = versions.len() == ready.len();
        if is_right { Ok(()) } else { Err(format!("of {ready:?} answer {versions:?}")) }
    });
}

fn get(client: &mut Client, host: &str, path: &str) -> Answer {
    let request = Request::get(path).header("host", host);
    client.send(request, "").unwrap_or_else(|e| panic!("GET {host}{path}: {e}"))
}
