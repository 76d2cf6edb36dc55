//! `/metrics`: what the proxy counts, and the gateway's own numbers, as Prometheus text.
//!
//! Written by hand, because the registry's encoder ends its text with a mark after which nothing
//! may follow, and this text is joined from two halves.

use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Admin, diagnostics};
use crate::controller::rebuild::Built;
use crate::controller::replicas::Link;
use crate::model::written::PemSource;
use crate::telemetry::process::Process;
use crate::telemetry::timings::DurationsSnapshot;

/// The media type of Prometheus' text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted.
pub(super) fn render(admin: &Admin) -> String {
    let mut text = admin.proxy_metrics.get().map_or_else(String::new, |render| render());
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let mut out = Exposition(text);
    let built = admin.built.borrow().clone();
    let findings = diagnostics::findings(&built);
    out.gauge("ambassador_diagnostics_errors", "Objects with errors", findings.errors.len());
    out.gauge("ambassador_diagnostics_notices", "Objects with notices", findings.notices.len());
    let identity = &admin.identity;
    out.head("ambassador_diagnostics_info", "gauge", "The gateway");
    out.sample(
        "ambassador_diagnostics_info",
        &[
            ("version", &identity.version),
            ("ambassador_id", &identity.ambassador_id),
            ("cluster_id", &identity.cluster_id),
            ("single_namespace", if identity.single_namespace { "true" } else { "false" }),
        ],
        1,
    );
    out.head("ambassador_log_level", "gauge", "The log level");
    out.sample("ambassador_log_level", &[("level", admin.log_level.get().as_str())], 1);
    out.gauge(
        "nuncio_ready",
        "Whether requests may be sent here",
        u8::from(admin.health.is_ready()),
    );
    overload(&mut out, admin);
    out.gauge("nuncio_config_generation", "Route tables published so far", built.generation);
    out.gauge("nuncio_config_objects", "Objects that speak to this gateway", built.reports().len());
    let routes: usize = built
        .build
        .config
        .groups
        .iter()
        .map(|group| group.legs.iter().chain(group.mirror()).count())
        .sum();
    out.gauge("nuncio_config_routes", "Routes that are served", routes);
    out.histogram(
        "nuncio_config_build_seconds",
        "Time to merge all objects",
        &admin.timings.build.snapshot(),
    );
    out.histogram(
        "nuncio_config_change_seconds",
        "Time from the arrival of a change to its being served",
        &admin.timings.change.snapshot(),
    );
    certificates(&mut out, &built, seconds_now());
    replicas(&mut out, admin);
    if let Some(process) = Process::read() {
        out.process("ambassador_process", &process);
        out.process("process", &process);
    }
    out.0
}

/// When the certificates that objects name expire: those of before where they are still used.
fn certificates(out: &mut Exposition, built: &Built, now: i64) {
    let all = built.last_good.iter().filter_map(|(source, good)| {
        let labels = match source {
            PemSource::Secret(key) => vec![("namespace", &*key.namespace), ("secret", &*key.name)],
            PemSource::Files { certificates, .. } => vec![("file", &**certificates)],
        };
        Some((labels, good.certificate.as_ref()?.not_after))
    });
    let expiries: Vec<_> =
        all.map(|(labels, not_after)| (labels, not_after.saturating_sub(now))).collect();
    let Some(first) = expiries.iter().map(|(_, seconds)| *seconds).min() else { return };
    let name = "nuncio_certificate_expiry_seconds";
    out.head(name, "gauge", "Seconds until a certificate expires, negative once it has");
    for (labels, seconds) in &expiries {
        out.sample(name, labels, seconds);
    }
    out.gauge(
        "envoy_server_days_until_first_cert_expiring",
        "Whole days until the first certificate expires",
        (first / 86_400).max(0),
    );
}

fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What the replica that writes status knows of the others; none of it on any other.
fn replicas(out: &mut Exposition, admin: &Admin) {
    let leads = admin.replication.leads();
    out.gauge("nuncio_leader", "Whether this replica writes status", u8::from(leads));
    let others = admin.replication.others();
    let connected = others.by_name.values().filter(|other| other.link == Link::Connected);
    let (connected, known) = (connected.count(), others.by_name.len());
    out.gauge("nuncio_replicas_known", "Other replicas, where this one writes status", known);
    out.gauge("nuncio_replicas_connected", "Those of them that tell what they serve", connected);
    out.histogram(
        "nuncio_replicas_barrier_seconds",
        "Time from a build here until every replica serves it",
        &admin.timings.barrier.snapshot(),
    );
}

/// The memory, and what is shed for it: under Envoy's names, and of our own where it has none.
fn overload(out: &mut Exposition, admin: &Admin) {
    let Some(now) = admin.overload.snapshot() else { return };
    let budget = "Bytes that the gateway may use";
    out.gauge("nuncio_memory_budget_bytes", budget, now.budget);
    out.gauge("nuncio_memory_used_bytes", "Bytes that count against it", now.used);
    out.gauge("nuncio_overload_level", "How much is shed: 0 to 4", now.level.number());
    let pressure = "envoy_overload_envoy_resource_monitors_fixed_heap_pressure";
    out.gauge(pressure, "Per cent of the memory that is in use", now.percent());
    let name = |action: &str| format!("envoy_overload_envoy_overload_actions_{action}_active");
    for (action, is_active, _) in now.steps {
        out.gauge(&name(action), "Whether this is in force", u8::from(is_active));
    }
    let times = "nuncio_overload_steps_total";
    out.head(times, "counter", "How often a step has begun");
    for (action, _, count) in now.steps {
        out.sample(times, &[("action", action)], count);
    }
    let limits = "nuncio_limit";
    out.head(limits, "gauge", "Limits that follow from the memory");
    for limit in now.limits {
        out.sample(limits, &[("limit", limit.name)], limit.value);
    }
}

/// A text in Prometheus' format, line by line.
struct Exposition(String);

impl Exposition {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn histogram(&mut self, name: &str, help: &str, numbers: &DurationsSnapshot) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in &numbers.cumulative {
            self.sample(&bucket, &[("le", &bound.to_string())], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], numbers.count);
        self.sample(&format!("{name}_sum"), &[], numbers.sum);
        self.sample(&format!("{name}_count"), &[], numbers.count);
    }

    /// The names of Prometheus' client libraries, with Emissary's prefix or the usual one.
    fn process(&mut self, prefix: &str, process: &Process) {
        let mut gauge = |name: &str, help: &str, value: &dyn Display| {
            self.gauge(&format!("{prefix}_{name}"), help, value);
        };
        gauge("resident_memory_bytes", "Memory in RAM", &process.resident_bytes);
        gauge("virtual_memory_bytes", "Address space", &process.virtual_bytes);
        gauge("start_time_seconds", "When it started, since 1970", &process.start_seconds);
        gauge("open_fds", "Open file descriptors", &process.open_fds);
        gauge("threads", "Threads", &process.threads);
        let cpu = format!("{prefix}_cpu_seconds_total");
        self.head(&cpu, "counter", "User and system time");
        self.sample(&cpu, &[], process.cpu_seconds);
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{text}").expect("writing to a String can't fail");
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use std::collections::BTreeMap;

    use crate::model::secret::LastGood;
    use crate::model::tls::{Certificate, KeyKind, Private, SecretKey};

    #[test]
    fn certificates_are_shown_with_the_time_that_is_left() {
        let good = |not_after: i64| {
            let certificate = Certificate {
                fingerprint: [0; 32],
                chain: vec![],
                key: Private::new(b"hidden".as_slice()),
                key_kind: KeyKind::Ecdsa,
                names: vec![],
                not_before: 0,
                not_after,
            };
            LastGood { certificate: Some(Arc::new(certificate)), ..LastGood::default() }
        };
        let secret = |name: &str| {
            PemSource::Secret(SecretKey { namespace: "shop".into(), name: name.into() })
        };
        let files = PemSource::Files { certificates: "/tls.crt".into(), key: None };
        let mut all: BTreeMap<_, _> = [
            (secret("a"), good(10 * 86_400)),
            (secret("b"), LastGood::default()),
            (secret("c"), good(5)),
            (files.clone(), good(20 * 86_400)),
        ]
        .into();
        let built = |all: &BTreeMap<PemSource, LastGood>| Built {
            last_good: Arc::new(all.clone()),
            ..Built::default()
        };
        let render = |built: &Built, now: i64| {
            let mut out = Exposition(String::new());
            certificates(&mut out, built, now);
            out.0
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let name = "nuncio_certificate_expiry_seconds";
        let expected = [
            format!("{name}{{namespace=\"shop\",secret=\"a\"}} 863900"),
            format!("{name}{{namespace=\"shop\",secret=\"c\"}} -95"),
            format!("{name}{{file=\"/tls.crt\"}} 1727900"),
            "envoy_server_days_until_first_cert_expiring 0".to_owned(),
        ];
        assert_eq!(render(&built(&all), 100), expected);
        all.retain(|source, _| *source == files);
        assert!(
            render(&built(&all), 0)
                .contains(&"envoy_server_days_until_first_cert_expiring 20".into())
        );
        assert!(render(&Built::default(), 0).is_empty());
    }

    #[test]
    fn the_format_is_prometheus() {
        let mut out = Exposition(String::new());
        out.gauge("a", "An A", 1.5);
        out.sample("b", &[("x", "q\"\\\n"), ("y", "")], 2);
        let numbers = DurationsSnapshot { cumulative: vec![(0.5, 1)], sum: 3.25, count: 2 };
        out.histogram("c", "A C", &numbers);
        assert_eq!(
            out.0,
            "# HELP a An A\n# TYPE a gauge\na 1.5\nb{x=\"q\\\"\\\\\\n\",y=\"\"} 2\n\
             # HELP c A C\n# TYPE c histogram\nc_bucket{le=\"0.5\"} 1\nc_bucket{le=\"+Inf\"} 2\n\
             c_sum 3.25\nc_count 2\n"
        );
    }
}
