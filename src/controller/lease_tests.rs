use serde_json::{Value, json};

use super::*;
use crate::controller::testing::{Call, Server, server};

const SECOND: Duration = Duration::from_secs(1);

impl Record {
    /// A record that this holder of this installation has just written.
    pub(in crate::controller) fn of(holder: &str, install: Option<&str>) -> Self {
        Self {
            uid: "uid".to_owned(),
            resource_version: "7".to_owned(),
            holder: holder.to_owned(),
            duration: LEASE_DURATION,
            transitions: 0,
            acquired: None,
            install: install.map(str::to_owned),
        }
    }
}

fn options(identity: &str) -> LeaseOptions {
    LeaseOptions {
        namespace: "gateway".to_owned(),
        name: "nuncio".to_owned(),
        identity: identity.to_owned(),
        install: None,
    }
}

fn record(holder: &str, seconds: u64) -> Record {
    Record { duration: Duration::from_secs(seconds), ..Record::of(holder, None) }
}

#[test]
fn the_lease_goes_by_when_it_was_seen_to_change() {
    let start = Instant::now();
    let cases = [
        ("none", None, 0, Step::Create),
        ("ours", Some(record("me", 15)), 3, Step::Renew),
        ("ours though it ran out", Some(record("me", 15)), 60, Step::Renew),
        ("just seen", Some(record("you", 15)), 0, Step::Wait),
        ("nearly out", Some(record("you", 15)), 14, Step::Wait),
        ("run out", Some(record("you", 15)), 15, Step::Take),
        ("their own duration counts", Some(record("you", 60)), 30, Step::Wait),
        ("given back", Some(record("", 1)), 0, Step::Take),
    ];
    for (name, record, seconds, expected) in cases {
        let observed = record.map(|record| Observed { record, since: start });
        let now = start + Duration::from_secs(seconds);
        assert_eq!(decide(observed.as_ref(), now, "me"), expected, "{name}");
    }
}

/// A Lease as an API server keeps it.
#[derive(Default)]
struct Kept {
    lease: Option<Value>,
    version: u64,
    /// How often it was read.
    reads: u64,
}

impl Kept {
    /// Answers as an API server does, resource versions checked.
    fn answer(&mut self, call: Call) {
        self.reads += u64::from(call.method == "GET");
        match (call.method.as_str(), self.lease.clone()) {
            ("GET", None) => call.refuse(404, "NotFound", "no such lease"),
            ("GET", Some(lease)) => call.ok(&lease),
            ("POST", Some(_)) => call.refuse(409, "AlreadyExists", "it exists"),
            ("POST", None) => self.keep(call),
            ("PUT", Some(lease))
                if call.body["metadata"]["resourceVersion"]
                    == lease["metadata"]["resourceVersion"] =>
            {
                self.keep(call);
            }
            ("PUT", _) => call.refuse(409, "Conflict", "the object has been modified"),
            (method, _) => panic!("unexpected {method} {}", call.path),
        }
    }

    fn keep(&mut self, call: Call) {
        let mut lease = call.body.clone();
        self.put(&mut lease);
        call.ok(&lease);
    }

    fn put(&mut self, lease: &mut Value) {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
    }

    fn holder(&self) -> &str {
        self.lease.as_ref().unwrap()["spec"]["holderIdentity"].as_str().unwrap()
    }
}

/// A lease of another, with the wildest clock.
fn foreign(holder: &str, renewed: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "nuncio", "namespace": "gateway"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 4,
            "acquireTime": renewed, "renewTime": renewed,
        },
    })
}

struct Candidacy {
    server: Server,
    leader: watch::Receiver<Leadership>,
    shutdown: CancellationToken,
    task: tokio::task::JoinSet<()>,
}

fn candidacy(identity: &str) -> Candidacy {
    let (client, server) = server();
    let (sender, leader) = watch::channel(Leadership::default());
    let shutdown = CancellationToken::new();
    let mut task = tokio::task::JoinSet::new();
    task.spawn(Candidate::new(client, options(identity)).run(sender, shutdown.clone()));
    Candidacy { server, leader, shutdown, task }
}

impl Candidacy {
    /// Lets the API server answer for a while.
    async fn serve(&mut self, kept: &mut Kept, length: Duration) {
        let end = Instant::now() + length;
        while let Ok(call) = tokio::time::timeout_at(end, self.server.next()).await {
            kept.answer(call);
        }
    }

    fn leads(&self) -> bool {
        self.leader.borrow().is_held()
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_taken_renewed_and_given_back() {
    let (mut me, mut kept) = (candidacy("me"), Kept::default());
    me.serve(&mut kept, SECOND).await;
    assert!(me.leads());
    assert_eq!(kept.holder(), "me");
    let first = kept.version;
    me.serve(&mut kept, 60 * SECOND).await;
    assert!(me.leads());
    assert!(kept.version >= first + 25, "renewed every two seconds: {}", kept.version);
    assert_eq!(kept.reads, 1, "whoever holds it needn't look");
    assert_eq!(kept.lease.as_ref().unwrap()["spec"]["leaseTransitions"], 0);

    me.shutdown.cancel();
    me.serve(&mut kept, SECOND).await;
    assert!(!me.leads());
    assert_eq!(kept.holder(), "");
    assert!(me.task.join_next().await.is_some(), "and ends");
}

#[tokio::test(start_paused = true)]
async fn another_clock_neither_frees_nor_keeps_a_lease() {
    for renewed in ["1999-01-01T00:00:00.000000Z", "2199-01-01T00:00:00.000000Z"] {
        let (mut me, mut kept) = (candidacy("me"), Kept::default());
        // The other renews for a minute: its lease is alive, whatever its clock says.
        for _ in 0..6 {
            kept.put(&mut foreign("you", renewed));
            me.serve(&mut kept, 10 * SECOND).await;
            assert!(!me.leads(), "{renewed}");
        }
        // Then it is silent: dead, whatever its clock says, 15 seconds after it was last seen to
        // change; both looks take up to 4.4 seconds.
        me.serve(&mut kept, 4 * SECOND).await;
        assert!(!me.leads(), "{renewed}: not before fifteen seconds");
        me.serve(&mut kept, 12 * SECOND).await;
        assert!(me.leads(), "{renewed}");
        assert_eq!(kept.lease.as_ref().unwrap()["spec"]["leaseTransitions"], 5);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_candidates_one_leads_at_a_time() {
    let (mut one, mut two, mut kept) = (candidacy("one"), candidacy("two"), Kept::default());
    for round in 0..200 {
        let end = Instant::now() + SECOND;
        loop {
            tokio::select! {
                call = one.server.next() => kept.answer(call),
                call = two.server.next() => kept.answer(call),
                () = tokio::time::sleep_until(end) => break,
            }
            assert!(!(one.leads() && two.leads()), "round {round}");
        }
        assert!(one.leads() || two.leads(), "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_stops_before_another_may_start() {
    let (mut one, mut two, mut kept) = (candidacy("one"), candidacy("two"), Kept::default());
    one.serve(&mut kept, SECOND).await;
    assert!(one.leads());
    let cut = Instant::now();
    let mut stopped = None;
    // `one`'s requests are no longer answered.
    while Instant::now() < cut + 60 * SECOND && !two.leads() {
        two.serve(&mut kept, SECOND / 10).await;
        assert!(!(one.leads() && two.leads()));
        if !one.leads() && stopped.is_none() {
            stopped = Some(cut.elapsed());
        }
    }
    assert!(stopped.is_some_and(|after| after <= RENEW_DEADLINE + SECOND), "{stopped:?}");
    assert!(two.leads());
    assert!(cut.elapsed() >= LEASE_DURATION, "{:?}", cut.elapsed());
    assert_eq!(kept.holder(), "two");
}

#[tokio::test(start_paused = true)]
async fn who_finds_another_in_its_lease_stops_at_once() {
    let (mut me, mut kept) = (candidacy("me"), Kept::default());
    me.serve(&mut kept, SECOND).await;
    assert!(me.leads());
    kept.put(&mut foreign("you", "2026-01-01T00:00:00.000000Z"));
    me.serve(&mut kept, 3 * SECOND).await;
    assert!(!me.leads());
    assert_eq!(kept.holder(), "you", "and takes nothing away");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_now_and_then_loses_nothing() {
    let (mut me, mut kept) = (candidacy("me"), Kept::default());
    me.serve(&mut kept, SECOND).await;
    for _ in 0..10 {
        me.server.next().await.refuse(500, "InternalError", "etcd is slow");
        me.serve(&mut kept, 5 * SECOND).await;
        assert!(me.leads());
    }
    // A deleted lease is made again.
    kept.lease = None;
    me.serve(&mut kept, 5 * SECOND).await;
    assert!(me.leads());
    assert_eq!(kept.holder(), "me");
}
