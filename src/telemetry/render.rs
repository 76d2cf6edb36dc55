//! Prometheus' text format of the merged counters.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::levels::{ClusterLevels, OPEN, is_open};
use super::listeners::collect as collect_named;
use super::metrics::{
    BOUNDS_MS, ClusterStats, Count, DownstreamStats, Histogram, Metrics, WorkerStats,
};
use crate::model::cluster::Upstream;
use crate::model::service::Endpoints;

/// The name of the clusters that are counted together, which no cluster can have.
const OTHERS: &str = "(others)";

const CLASSES: [&str; 5] = ["1", "2", "3", "4", "5"];

/// See [`Metrics::render`].
pub(super) fn render(metrics: &Metrics) -> String {
    let mut out = String::new();
    render_server(&mut out, metrics);
    render_downstream(&mut out, metrics);
    super::listeners::render(&mut out, &metrics.workers);
    render_clusters(&mut out, metrics);
    out
}

fn kind(out: &mut String, name: &str, kind: &str) {
    // Writing to a string can't fail, here and below.
    let _ = writeln!(out, "# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = if labels.is_empty() {
        writeln!(out, "{name} {value}")
    } else {
        writeln!(out, "{name}{{{labels}}} {value}")
    };
}

fn render_server(out: &mut String, metrics: &Metrics) {
    for (name, type_, value) in [
        ("envoy_server_live", "gauge", 1),
        ("envoy_server_uptime", "gauge", metrics.started.elapsed().as_secs()),
        ("envoy_server_concurrency", "gauge", metrics.workers.len() as u64),
        ("nuncio_access_log_dropped_total", "counter", metrics.log_drops.load(Ordering::Relaxed)),
    ] {
        kind(out, name, type_);
        line(out, name, "", value);
    }
}

type PickDownstream = fn(&DownstreamStats) -> &Count;

const DOWNSTREAM_COUNTS: [(&str, &str, PickDownstream); 8] = [
    ("rq_total", "counter", |one| &one.requests),
    ("rq_active", "gauge", |one| &one.active),
    ("cx_total", "counter", |one| &one.connections),
    ("cx_active", "gauge", |one| &one.connections_active),
    ("cx_overload_disable_keepalive", "counter", |one| &one.overload_parted),
    ("cx_overload_closed", "counter", |one| &one.overload_closed),
    ("cx_overload_cut", "counter", |one| &one.overload_cut),
    ("rq_overload_close", "counter", |one| &one.overload_refused),
];

fn render_downstream(out: &mut String, metrics: &Metrics) {
    let merged = collect_named(&metrics.workers, |worker| worker.downstream_prefixes());
    let all: Vec<_> = merged
        .iter()
        .map(|(prefix, parts)| {
            (format!("envoy_http_conn_manager_prefix=\"{}\"", escape(prefix)), parts)
        })
        .collect();
    for (name, type_, pick) in DOWNSTREAM_COUNTS {
        let name = format!("envoy_http_downstream_{name}");
        kind(out, &name, type_);
        for (labels, parts) in &all {
            line(out, &name, labels, parts.iter().map(|one| pick(one).get()).sum::<u64>());
        }
    }
    let name = "envoy_http_downstream_rq_xx";
    kind(out, name, "counter");
    for (labels, parts) in &all {
        for (index, class) in CLASSES.iter().enumerate() {
            let labels = format!("envoy_response_code_class=\"{class}\",{labels}");
            let value: u64 = parts.iter().map(|one| one.classes[index].get()).sum();
            line(out, name, &labels, value);
        }
    }
    let name = "envoy_http_downstream_rq_time";
    kind(out, name, "histogram");
    for (labels, parts) in &all {
        histogram(out, name, labels, parts.iter().map(|one| &one.time));
    }
}

fn histogram<'a>(
    out: &mut String,
    name: &str,
    labels: &str,
    parts: impl Iterator<Item = &'a Histogram> + Clone,
) {
    let mut total = 0;
    for (index, bound) in BOUNDS_MS.iter().enumerate() {
        total += parts.clone().map(|one| one.buckets[index].get()).sum::<u64>();
        line(out, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), total);
    }
    let count: u64 = parts.clone().map(|one| one.count.get()).sum();
    // The counters are read one after the other while they grow: the last bucket is the count.
    let count = count.max(total);
    line(out, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), count);
    let micros: u64 = parts.map(|one| one.sum_micros.get()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a sum of durations needs no last digit")]
    line(out, &format!("{name}_sum"), labels, micros as f64 / 1000.0);
    line(out, &format!("{name}_count"), labels, count);
}

/// One cluster over all workers.
struct Series {
    labels: String,
    total: u64,
    levels: Vec<Arc<ClusterLevels>>,
    parts: Vec<Arc<ClusterStats>>,
}

type Pick = fn(&ClusterStats) -> &Count;

const CLUSTER_COUNTS: [(&str, &str, Pick); 13] = [
    ("rq_total", "counter", |one| &one.requests),
    ("rq_completed", "counter", |one| &one.completed),
    ("rq_timeout", "counter", |one| &one.timeouts),
    ("rq_retry", "counter", |one| &one.retries),
    ("rq_retry_success", "counter", |one| &one.retry_successes),
    ("rq_retry_overflow", "counter", |one| &one.retry_overflows),
    ("rq_retry_limit_exceeded", "counter", |one| &one.retry_limits),
    ("rq_per_try_timeout", "counter", |one| &one.try_timeouts),
    ("rq_pending_overflow", "counter", |one| &one.pending_overflows),
    ("cx_overflow", "counter", |one| &one.connection_overflows),
    ("cx_total", "counter", |one| &one.connections),
    ("cx_active", "gauge", |one| &one.connections_active),
    ("cx_connect_fail", "counter", |one| &one.connect_failures),
];

fn render_clusters(out: &mut String, metrics: &Metrics) {
    let series = collect(metrics);
    render_levels(out, &series);
    for (name, type_, pick) in CLUSTER_COUNTS {
        let name = format!("envoy_cluster_upstream_{name}");
        kind(out, &name, type_);
        for one in &series {
            let value: u64 = one.parts.iter().map(|part| pick(part).get()).sum();
            line(out, &name, &one.labels, value);
        }
    }
    render_codes(out, &series);
    let name = "envoy_cluster_upstream_rq_time";
    kind(out, name, "histogram");
    for one in series.iter().filter(|one| !one.parts.is_empty()) {
        histogram(out, name, &one.labels, one.parts.iter().map(|part| &part.time));
    }
}

fn render_levels(out: &mut String, series: &[Series]) {
    let sum = |one: &Series, pick: fn(&ClusterLevels) -> &AtomicU32| {
        one.levels.iter().map(|level| u64::from(pick(level).load(Ordering::Relaxed))).sum::<u64>()
    };
    // What no worker uses yet is known from the outside only.
    let members =
        |one: &Series| if one.levels.is_empty() { one.total } else { sum(one, |l| &l.members) };
    let healthy =
        |one: &Series| if one.levels.is_empty() { one.total } else { sum(one, |l| &l.healthy) };
    let ejected = |one: &Series| sum(one, |level| &level.ejected);
    let ejections = |one: &Series| sum(one, |level| &level.ejections);
    type Value<'a> = &'a dyn Fn(&Series) -> u64;
    let all: [(&str, &str, Value<'_>); 4] = [
        ("membership_total", "gauge", &members),
        ("membership_healthy", "gauge", &healthy),
        ("outlier_detection_ejections_active", "gauge", &ejected),
        ("outlier_detection_ejections_enforced_total", "counter", &ejections),
    ];
    for (name, type_, value) in all {
        let name = format!("envoy_cluster_{name}");
        kind(out, &name, type_);
        for one in series {
            line(out, &name, &one.labels, value(one));
        }
    }
    for (index, priority) in ["default", "high"].into_iter().enumerate() {
        for (name, pick) in OPEN {
            let name = format!("envoy_cluster_circuit_breakers_{priority}_{name}");
            kind(out, &name, "gauge");
            for one in series.iter().filter(|one| !one.levels.is_empty()) {
                line(out, &name, &one.labels, u8::from(is_open(&one.levels, index, pick)));
            }
        }
    }
}

fn render_codes(out: &mut String, series: &[Series]) {
    let name = "envoy_cluster_upstream_rq_xx";
    kind(out, name, "counter");
    for one in series {
        for (index, class) in CLASSES.iter().enumerate() {
            let value: u64 = one.parts.iter().map(|part| part.classes[index].get()).sum();
            if value > 0 {
                let labels = format!("envoy_response_code_class=\"{class}\",{}", one.labels);
                line(out, name, &labels, value);
            }
        }
    }
    let name = "envoy_cluster_upstream_rq";
    kind(out, name, "counter");
    for one in series {
        let mut codes: BTreeMap<u16, u64> = BTreeMap::new();
        for (code, count) in one.parts.iter().flat_map(|part| &part.codes) {
            let code = code.load(Ordering::Relaxed);
            if code != 0 {
                *codes.entry(code).or_default() += count.get();
            }
        }
        for (code, value) in codes {
            line(out, name, &format!("envoy_response_code=\"{code}\",{}", one.labels), value);
        }
    }
}

/// The clusters of the newest table, with what the workers have counted of them.
fn collect(metrics: &Metrics) -> Vec<Series> {
    let (table, endpoints) = metrics.newest();
    // Several clusters may go by one name.
    let mut totals: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    for cluster in table.config().clusters().values() {
        let total = totals.entry(Arc::clone(cluster.metrics_name())).or_default();
        *total += count_members(&cluster.upstream, &endpoints);
    }
    let series = totals
        .into_iter()
        .map(|(name, total)| Series {
            labels: format!("envoy_cluster_name=\"{}\"", escape(&name)),
            total,
            levels: metrics.levels.of(&name),
            parts: metrics
                .workers
                .iter()
                .filter_map(|worker| worker.clusters.lock().get(&name).cloned())
                .collect(),
        })
        .collect();
    bound(series, &metrics.workers)
}

/// The clusters that are counted one by one, those that nobody uses last, and all others as one.
fn bound(mut series: Vec<Series>, workers: &[Arc<WorkerStats>]) -> Vec<Series> {
    let most = workers.first().map_or(usize::MAX, |worker| worker.most());
    if series.len() > most {
        series.sort_by_key(|one| one.parts.is_empty());
        let others = series.split_off(most);
        let total = others.iter().map(|one| one.total).sum();
        let counted = others.into_iter().flat_map(|one| one.parts);
        let parts = counted.chain(workers.iter().map(|worker| worker.rest())).collect();
        let labels = format!("envoy_cluster_name=\"{OTHERS}\"");
        series.push(Series { labels, total, levels: Vec::new(), parts });
    }
    series
}

/// A name is resolved by those who use it: as in Envoy's DNS clusters, one until it is known.
fn count_members(upstream: &Upstream, endpoints: &Endpoints) -> u64 {
    match upstream {
        Upstream::Address(_) | Upstream::Name { .. } => 1,
        Upstream::Service(reference) => endpoints.get(reference).len() as u64,
    }
}

pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
