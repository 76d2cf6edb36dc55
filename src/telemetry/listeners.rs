//! What is counted of a port and of its TLS, and of connections that are passed on as bytes; under
//! Envoy's names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::metrics::{Count, WorkerStats};

/// What one worker counts of one port.
#[derive(Debug, Default)]
pub(crate) struct ListenerStats {
    connections: Count,
    active: Count,
    timeouts: Count,
    proxy_errors: Count,
    no_server: Count,
    handshakes: Count,
    resumed: Count,
    without_certificate: Count,
    errors: Count,
    no_certificate: Count,
    bad_certificate: Count,
    tls_1_2: Count,
    tls_1_3: Count,
}

/// How a handshake ended well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handshake {
    /// A session was taken up again.
    pub(crate) resumed: bool,
    /// The client showed no certificate.
    pub(crate) without_certificate: bool,
    /// TLS 1.3, and not 1.2.
    pub(crate) is_1_3: bool,
}

/// How a connection came to nothing before anything was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It took too long to say what it is.
    Timeout,
    /// It didn't begin with the PROXY protocol where it has to.
    Proxy,
    /// Nothing is served under its server name.
    NoServer,
    /// The handshake failed.
    Handshake,
    /// The client had to show a certificate and showed none.
    NoCertificate,
    /// The client's certificate is not to be trusted.
    BadCertificate,
}

impl ListenerStats {
    pub(crate) fn opened(&self) {
        self.connections.add(1);
        self.active.add(1);
    }

    pub(crate) fn closed(&self) {
        self.active.subtract(1);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        match refusal {
            Refusal::Timeout => self.timeouts.add(1),
            Refusal::Proxy => self.proxy_errors.add(1),
            Refusal::NoServer => self.no_server.add(1),
            Refusal::Handshake => self.errors.add(1),
            // Envoy counts these two by themselves, and not as connection errors.
            Refusal::NoCertificate => self.no_certificate.add(1),
            Refusal::BadCertificate => self.bad_certificate.add(1),
        }
    }

    pub(crate) fn shook_hands(&self, handshake: Handshake) {
        self.handshakes.add(1);
        self.resumed.add(u64::from(handshake.resumed));
        self.without_certificate.add(u64::from(handshake.without_certificate));
        let version = if handshake.is_1_3 { &self.tls_1_3 } else { &self.tls_1_2 };
        version.add(1);
    }
}

/// What one worker counts of connections that are passed on as bytes, for one `stat_prefix`.
#[derive(Debug, Default)]
pub(crate) struct TcpStats {
    connections: Count,
    no_route: Count,
    received: Count,
    sent: Count,
    idle: Count,
}

impl TcpStats {
    pub(crate) fn opened(&self) {
        self.connections.add(1);
    }

    pub(crate) fn no_route(&self) {
        self.no_route.add(1);
    }

    pub(crate) fn idled(&self) {
        self.idle.add(1);
    }

    pub(crate) fn closed(&self, received: u64, sent: u64) {
        self.received.add(received);
        self.sent.add(sent);
    }
}

type Pick<T> = fn(&T) -> &Count;

const LISTENER_COUNTS: [(&str, &str, Pick<ListenerStats>); 11] = [
    ("envoy_listener_downstream_cx_total", "counter", |one| &one.connections),
    ("envoy_listener_downstream_cx_active", "gauge", |one| &one.active),
    ("envoy_listener_downstream_pre_cx_timeout", "counter", |one| &one.timeouts),
    ("envoy_listener_no_filter_chain_match", "counter", |one| &one.no_server),
    ("nuncio_listener_proxy_protocol_errors_total", "counter", |one| &one.proxy_errors),
    ("envoy_listener_ssl_handshake", "counter", |one| &one.handshakes),
    ("envoy_listener_ssl_session_reused", "counter", |one| &one.resumed),
    ("envoy_listener_ssl_no_certificate", "counter", |one| &one.without_certificate),
    ("envoy_listener_ssl_connection_error", "counter", |one| &one.errors),
    ("envoy_listener_ssl_fail_verify_no_cert", "counter", |one| &one.no_certificate),
    ("envoy_listener_ssl_fail_verify_error", "counter", |one| &one.bad_certificate),
];

const VERSIONS: [(&str, Pick<ListenerStats>); 2] =
    [("TLSv1.2", |one| &one.tls_1_2), ("TLSv1.3", |one| &one.tls_1_3)];

const TCP_COUNTS: [(&str, Pick<TcpStats>); 5] = [
    ("envoy_tcp_downstream_cx_total", |one| &one.connections),
    ("envoy_tcp_downstream_cx_no_route", |one| &one.no_route),
    ("envoy_tcp_downstream_cx_rx_bytes_total", |one| &one.received),
    ("envoy_tcp_downstream_cx_tx_bytes_total", |one| &one.sent),
    ("envoy_tcp_idle_timeout", |one| &one.idle),
];

/// Everything of this file, over all workers.
pub(super) fn render(out: &mut String, workers: &[Arc<WorkerStats>]) {
    let listeners = collect(workers, |worker| worker.listeners());
    for (name, kind, pick) in LISTENER_COUNTS {
        series(out, name, kind, &listeners, |address, all| {
            (format!("envoy_listener_address=\"{address}\""), sum(all, pick))
        });
    }
    for (version, pick) in VERSIONS {
        series(out, "envoy_listener_ssl_versions", "counter", &listeners, |address, all| {
            let labels =
                format!("envoy_ssl_version=\"{version}\",envoy_listener_address=\"{address}\"");
            (labels, sum(all, pick))
        });
    }
    let tcp = collect(workers, |worker| worker.tcp_prefixes());
    for (name, pick) in TCP_COUNTS {
        series(out, name, "counter", &tcp, |prefix, all| {
            (format!("envoy_tcp_prefix=\"{}\"", super::render::escape(prefix)), sum(all, pick))
        });
    }
}

/// Counters by their name, of all workers.
pub(super) type Merged<T> = BTreeMap<Arc<str>, Vec<Arc<T>>>;

/// What all workers count under each name.
pub(super) fn collect<T>(
    workers: &[Arc<WorkerStats>],
    of: impl Fn(&WorkerStats) -> Vec<(Arc<str>, Arc<T>)>,
) -> Merged<T> {
    let mut merged = Merged::new();
    for (name, stats) in workers.iter().flat_map(|worker| of(worker)) {
        merged.entry(name).or_default().push(stats);
    }
    merged
}

fn sum<T>(all: &[Arc<T>], pick: Pick<T>) -> u64 {
    all.iter().map(|one| pick(one).get()).sum()
}

fn series<T>(
    out: &mut String,
    name: &str,
    kind: &str,
    merged: &Merged<T>,
    one: impl Fn(&str, &[Arc<T>]) -> (String, u64),
) {
    if !merged.is_empty() && !out.contains(&format!("# TYPE {name} ")) {
        // Writing to a string can't fail, here and below.
        let _ = writeln!(out, "# TYPE {name} {kind}");
    }
    for (key, all) in merged {
        let (labels, value) = one(key, all);
        let _ = writeln!(out, "{name}{{{labels}}} {value}");
    }
}
