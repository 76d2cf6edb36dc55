//! Names to addresses: asked in the background, once for all workers, by their time to live.
//!
//! An answer stays until there is a better one: when DNS fails, the last addresses are used. A
//! definite "no such name" takes them away.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use parking_lot::Mutex;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

use crate::model::policy::DnsPolicy;
use crate::proxy::options::{ProxyOptions, StaticName};

/// An answer is asked for again no sooner than this.
const MIN_TTL: Duration = Duration::from_secs(1);
/// And no later.
const MAX_TTL: Duration = Duration::from_secs(300);
/// How often a name is asked for whose cluster doesn't want its time to live followed, unless that
/// is shorter (Envoy's `dns_refresh_rate`).
const REFRESH: Duration = Duration::from_secs(5);
/// After a failure. A name that comes to be should be found soon.
const RETRY: Duration = Duration::from_secs(2);

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing yet.
    Pending,
    /// Its addresses.
    Found(Arc<[IpAddr]>),
    /// There is none, or none that could be found out.
    Missing,
}

/// The process' resolver.
#[derive(Debug, Clone)]
pub(crate) struct Dns {
    options: Arc<ProxyOptions>,
    shared: Arc<Shared>,
}

/// A name, and how it is asked for.
type Key = (Arc<str>, DnsPolicy);

#[derive(Debug)]
struct Shared {
    names: Mutex<HashMap<Key, watch::Sender<Answer>>>,
    asks: mpsc::UnboundedSender<Ask>,
}

/// A name to follow.
struct Ask {
    host: Arc<str>,
    policy: DnsPolicy,
    answers: watch::Sender<Answer>,
}

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Family {
    /// IPv4, and IPv6 where there is none: what is asked for where nothing is written.
    Usual,
    /// IPv4 only.
    Four,
    /// IPv6 only.
    Six,
    /// Both, side by side.
    Both,
}

impl Family {
    fn of(policy: DnsPolicy) -> Self {
        match (policy.ipv4.unwrap_or(true), policy.ipv6) {
            (true, Some(true)) => Self::Both,
            (true, None) => Self::Usual,
            (false, Some(true)) => Self::Six,
            // Emissary: nothing at all is IPv4.
            (true | false, Some(false)) | (false, None) => Self::Four,
        }
    }

    fn strategy(self) -> LookupIpStrategy {
        match self {
            Self::Usual => LookupIpStrategy::Ipv4thenIpv6,
            Self::Four => LookupIpStrategy::Ipv4Only,
            Self::Six => LookupIpStrategy::Ipv6Only,
            Self::Both => LookupIpStrategy::Ipv4AndIpv6,
        }
    }
}

impl Dns {
    /// Starts the resolver's thread; it ends with the last handle.
    pub(crate) fn start(options: Arc<ProxyOptions>) -> std::io::Result<Self> {
        let (asks, asked) = mpsc::unbounded_channel();
        let server = options.name_server;
        std::thread::Builder::new().name("dns".into()).spawn(move || {
            let mut builder = Builder::new_current_thread();
            match builder.enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => runtime.block_on(serve(asked, server)),
                Err(error) => tracing::error!(%error, "no DNS: its runtime can't be built"),
            }
        })?;
        Ok(Self { options, shared: Arc::new(Shared { names: Mutex::default(), asks }) })
    }

    /// The names that never go to DNS.
    pub(crate) fn static_names(&self) -> &[StaticName] {
        &self.options.static_names
    }

    /// The namespace of bare Service names, if these are to be looked for in the endpoints.
    pub(crate) fn service_namespace(&self) -> Option<&str> {
        self.options.services_by_name.then_some(&*self.options.namespace)
    }

    /// Follows a name for as long as somebody holds the receiver.
    pub(crate) fn subscribe(&self, host: &Arc<str>, policy: DnsPolicy) -> watch::Receiver<Answer> {
        let mut names = self.shared.names.lock();
        let key = (Arc::clone(host), policy);
        // A name whose last follower has gone is no longer kept up to date: ask anew.
        if let Some(answers) = names.get(&key)
            && answers.receiver_count() > 0
        {
            return answers.subscribe();
        }
        // Nor is it remembered.
        names.retain(|_, answers| answers.receiver_count() > 0);
        let (sender, receiver) = watch::channel(Answer::Pending);
        names.insert(key, sender.clone());
        let ask = Ask { host: Arc::clone(host), policy, answers: sender };
        if self.shared.asks.send(ask).is_err() {
            tracing::error!("no DNS: its thread has ended");
        }
        receiver
    }
}

async fn serve(mut asked: mpsc::UnboundedReceiver<Ask>, server: Option<SocketAddr>) {
    let mut resolvers: HashMap<Family, Option<Arc<TokioResolver>>> = HashMap::new();
    while let Some(ask) = asked.recv().await {
        let family = Family::of(ask.policy);
        let resolver =
            resolvers.entry(family).or_insert_with(|| match build_resolver(server, family) {
                Ok(resolver) => Some(Arc::new(resolver)),
                Err(error) => {
                    tracing::error!(%error, "no DNS: the system's configuration can't be used");
                    None
                }
            });
        match resolver {
            Some(resolver) => {
                let resolver = Arc::clone(resolver);
                tokio::task::spawn_local(async move { follow(&resolver, &ask).await });
            }
            None => drop(ask.answers.send(Answer::Missing)),
        }
    }
}

fn build_resolver(server: Option<SocketAddr>, family: Family) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio()?,
        Some(server) => {
            let mut connection = ConnectionConfig::udp();
            connection.port = server.port();
            let server = NameServerConfig::new(server.ip(), true, vec![connection]);
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    // Our own cache follows the time to live; hickory's would be one of 8192 entries.
    options.cache_size = 0;
    options.ip_strategy = family.strategy();
    builder.build()
}

/// Keeps an answer up to date until nobody wants it.
async fn follow(resolver: &TokioResolver, ask: &Ask) {
    let Ask { host, policy, answers } = ask;
    let host: &str = host;
    let mut failing = false;
    loop {
        let (answer, again) = resolve(resolver, host, *policy).await;
        let failed = matches!(&answer, Err(error) if !error.is_no_records_found());
        if failing && !failed {
            tracing::info!(host, "DNS answers again");
        }
        let answer = match answer {
            Ok(found) => Some(Answer::Found(found)),
            Err(error) if error.is_no_records_found() => Some(Answer::Missing),
            Err(error) => {
                if !failing {
                    tracing::warn!(host, %error, "DNS fails; the last addresses are used");
                }
                // The first one to ask must not wait for ever; later ones keep what there was.
                (*answers.borrow() == Answer::Pending).then_some(Answer::Missing)
            }
        };
        failing = failed;
        if let Some(answer) = answer {
            answers.send_if_modified(|old| {
                let changed = *old != answer;
                *old = answer;
                changed
            });
        }
        tokio::select! {
            () = tokio::time::sleep(again) => {}
            () = answers.closed() => return,
        }
    }
}

/// The addresses of a name, and when to ask again.
async fn resolve(
    resolver: &TokioResolver,
    host: &str,
    policy: DnsPolicy,
) -> (Result<Arc<[IpAddr]>, NetError>, Duration) {
    if host == "localhost" {
        return (Ok([IpAddr::V4(Ipv4Addr::LOCALHOST)].into()), MAX_TTL);
    }
    let search = resolver_search();
    let mut last = None;
    for name in build_candidates(host, &search) {
        match resolver.lookup_ip(name.as_str()).await {
            Ok(found) => {
                let ttl = found.valid_until().saturating_duration_since(Instant::now());
                let mut addresses: Vec<IpAddr> = found.iter().collect();
                if policy.logical == Some(true) {
                    addresses.truncate(1);
                }
                // Servers turn the order around with each answer; that is no change.
                addresses.sort_unstable();
                addresses.dedup();
                let most = if policy.respect_ttl == Some(true) { MAX_TTL } else { REFRESH };
                return (Ok(addresses.into()), ttl.clamp(MIN_TTL, most));
            }
            Err(error) if error.is_no_records_found() => last = Some(error),
            // Another name's answer must not stand in for one that failed.
            Err(error) => return (Err(error), RETRY),
        }
    }
    (Err(last.unwrap_or(NetError::Message("no name to ask for"))), RETRY)
}

/// The search list of `/etc/resolv.conf`, as it is now.
fn resolver_search() -> Vec<String> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    parse_search(&text)
}

/// The last `search` line counts (resolv.conf(5)).
fn parse_search(text: &str) -> Vec<String> {
    let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix("search"));
    let last = lines.rfind(|rest| rest.starts_with([' ', '\t']));
    last.unwrap_or("").split_whitespace().map(|name| name.trim_matches('.').to_owned()).collect()
}

/// The full names to ask for, the likeliest first, so that a Service's name costs one question
/// and not one for each entry of the search list (which `ndots: 5` would ask for).
fn build_candidates(host: &str, search: &[String]) -> Vec<String> {
    if let Some(full) = host.strip_suffix('.') {
        return vec![format!("{full}.")];
    }
    let own = format!("{host}.");
    // The suffix that completes `svc` is `ns.svc.<zone>`, of `svc.ns` it is `svc.<zone>`, and so on.
    let likeliest = |suffix: &str| match host.split('.').count() {
        1 => suffix.split('.').nth(1) == Some("svc"),
        2 => suffix.starts_with("svc."),
        3 => host.ends_with(".svc") && !suffix.contains("svc"),
        _ => false,
    };
    let (first, later): (Vec<&String>, Vec<&String>) =
        search.iter().partition(|suffix| likeliest(suffix));
    let complete = |suffix: &String| format!("{host}.{suffix}.");
    let mut names: Vec<String> = first.into_iter().map(complete).collect();
    if host.split('.').count() > 2 && names.is_empty() {
        // A name of the internet, or one that is complete.
        names.push(own);
        names.extend(later.into_iter().map(complete));
    } else {
        names.extend(later.into_iter().map(complete));
        names.push(own);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_emissarys() {
        for (ipv4, ipv6, family) in [
            (None, None, Family::Usual),
            (Some(true), None, Family::Usual),
            (None, Some(false), Family::Four),
            (Some(true), Some(true), Family::Both),
            (None, Some(true), Family::Both),
            (Some(false), Some(true), Family::Six),
            (Some(false), None, Family::Four),
            (Some(false), Some(false), Family::Four),
        ] {
            let policy = DnsPolicy { ipv4, ipv6, ..DnsPolicy::default() };
            assert_eq!(Family::of(policy), family, "{ipv4:?} {ipv6:?}");
        }
    }

    const SEARCH: &str = "# c\nnameserver 10.0.0.10\nsearch old.local\n\
        search ns1.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n";

    #[test]
    fn the_likeliest_name_is_asked_for_first() {
        let search = parse_search(SEARCH);
        assert_eq!(search.len(), 3);
        for (host, first, count) in [
            ("a", "a.ns1.svc.cluster.local.", 4),
            ("a.ns2", "a.ns2.svc.cluster.local.", 4),
            ("a.ns2.svc", "a.ns2.svc.cluster.local.", 4),
            ("a.ns2.svc.cluster.local", "a.ns2.svc.cluster.local.", 4),
            ("www.example.com", "www.example.com.", 4),
            ("www.example.com.", "www.example.com.", 1),
        ] {
            let names = build_candidates(host, &search);
            assert_eq!((&*names[0], names.len()), (first, count), "{host}");
        }
        assert_eq!(build_candidates("example.com", &[]), ["example.com."]);
    }
}
