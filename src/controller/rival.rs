//! Two installations in one namespace with the same `AMBASSADOR_ID` would claim the same objects:
//! each serves all of them, and only one writes status. The Lease gives them away.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};

use super::annotated::stable_hash;
use super::lease::{LeaseOptions, Record};
use super::status::plan::shorten;
use crate::source::kubernetes::explain;

/// The annotation of the Lease that names the installation of its holder.
pub(super) const INSTALL: &str = "nuncio.dev/install";
/// How long writing the event may take: the lease must not wait for it.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(2);

/// Tells of other installations, each once.
pub(super) struct Rivals {
    client: Client,
    ours: Option<String>,
    namespace: String,
    lease: String,
    identity: String,
    /// The one that was told last.
    told: Option<String>,
}

impl Rivals {
    /// For the candidate of these options.
    pub(super) fn new(client: Client, options: &LeaseOptions) -> Self {
        Self {
            client,
            ours: options.install.clone(),
            namespace: options.namespace.clone(),
            lease: options.name.clone(),
            identity: options.identity.clone(),
            told: None,
        }
    }

    /// Looks at the installation that the Lease names.
    pub(super) async fn see(&mut self, record: &Record) {
        let theirs = record.install.as_deref();
        let Some((ours, theirs)) = self.ours.as_deref().zip(theirs) else { return };
        if ours == theirs {
            self.told = None;
            return;
        }
        if self.told.as_deref() == Some(theirs) {
            return;
        }
        let note = note(ours, theirs);
        tracing::error!(
            lease = self.lease,
            other = theirs,
            holder = record.holder,
            note,
            "another installation in this namespace claims the same objects"
        );
        let event = event(self, &record.uid, &note, Timestamp::now());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = PostParams::default();
        match tokio::time::timeout(DEADLINE, api.create(&params, &event)).await {
            // It was said before.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
            Ok(Err(error)) => {
                tracing::warn!(error = explain(&error), "can't write an event on the lease");
            }
            Ok(Ok(_)) | Err(_) => {}
        }
        self.told = Some(theirs.to_owned());
    }
}

/// What to do about it.
fn note(ours: &str, theirs: &str) -> String {
    format!(
        "the installations {ours:?} and {theirs:?} (named by their admin Services) have the same \
         AMBASSADOR_ID and both serve all its objects; give one of them another AMBASSADOR_ID, or \
         uninstall it"
    )
}

fn event(rivals: &Rivals, uid: &str, note: &str, now: Timestamp) -> Event {
    let Rivals { namespace, lease, identity, .. } = rivals;
    let hash = stable_hash(0, &[namespace, lease, note]);
    Event {
        metadata: ObjectMeta {
            namespace: Some(namespace.clone()),
            name: Some(format!("{lease}.{hash:016x}")),
            ..ObjectMeta::default()
        },
        action: Some("Lead".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note.to_owned()),
        reason: Some("AnotherInstallation".to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            name: Some(lease.clone()),
            namespace: Some(namespace.clone()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some("nuncio.dev/gateway".to_owned()),
        reporting_instance: Some(shorten(identity.clone(), 128)),
        type_: Some("Warning".to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::controller::testing::server;

    fn record(install: Option<&str>) -> Record {
        Record::of("other-pod", install)
    }

    fn options(install: Option<&str>) -> LeaseOptions {
        LeaseOptions {
            namespace: "gateway".to_owned(),
            name: "nuncio-default".to_owned(),
            identity: "pod".to_owned(),
            install: install.map(str::to_owned),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_installation_is_told_once_and_a_replica_never() {
        let (client, mut server) = server();
        let mut rivals = Rivals::new(client.clone(), &options(Some("ours")));
        for theirs in [None, Some("ours")] {
            rivals.see(&record(theirs)).await;
        }
        Rivals::new(client, &options(None)).see(&record(Some("theirs"))).await;
        let theirs = record(Some("theirs"));
        let (_, call) = tokio::join!(rivals.see(&theirs), async {
            let call = server.next().await;
            let body = call.body.clone();
            call.ok(&body);
            body
        });
        assert_eq!(call["reason"], "AnotherInstallation");
        assert_eq!(call["regarding"]["uid"], "uid");
        let note = call["note"].as_str().expect("a note");
        assert!(note.contains("\"ours\"") && note.contains("\"theirs\""), "{note}");
        assert!(note.len() <= 1000, "events take no more");
        let again = tokio::time::timeout(Duration::from_secs(1), rivals.see(&theirs));
        assert!(again.await.is_ok(), "it asks again");
        assert!(server.is_idle_for(10).await);
    }
}
