//! Follows the Secret, the webhook configuration and the definitions, serves what the Secret
//! holds, and takes one planned step after the other.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::time::Instant;

use super::follow::{Followed, FollowedSet};
use super::pair::Pair;
use super::plan::{Reason, Step, Times, View, plan};
use super::served::Served;
use super::stored::{Content, Current, Definition, Stored, Trusted};

/// Owns `caBundle` and nothing else: whoever applies the rest doesn't fight with it.
const FIELD_MANAGER: &str = "nuncio-admission";
/// How long one request may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// Replicas wait up to this long before they write, so that one does and the others see it.
const JITTER: Duration = Duration::from_millis(500);
/// How long to wait after a step that failed.
const RETRY: Duration = Duration::from_secs(5);

/// Who sees to the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Management {
    /// The gateway: it fills the Secret, replaces the certificate, and writes `caBundle`.
    Own,
    /// Somebody else, cert-manager for one: the gateway reads the Secret and writes nothing.
    External,
}

/// The names of all that belongs to the certificate.
#[derive(Debug, Clone)]
pub struct Names {
    /// The gateway's namespace.
    pub namespace: String,
    /// The Service that the API server calls.
    pub service: String,
    /// The Secret of the certificate.
    pub secret: String,
    /// The ValidatingWebhookConfiguration.
    pub configuration: String,
    /// The definitions whose objects the gateway may be asked to convert; none where it isn't.
    pub definitions: Vec<String>,
}

impl Names {
    /// The DNS name by which the API server calls a Service.
    fn host(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

/// Keeps the certificate of one replica.
pub(in crate::admission) struct Keeper {
    names: Names,
    host: String,
    times: Times,
    management: Management,
    secrets: Api<Secret>,
    configurations: Api<ValidatingWebhookConfiguration>,
    definitions: Api<Definition>,
    served: Served,
    /// What is served now, to tell news from repetition.
    serving: Option<Pair>,
    /// What the API server has been told to trust, and since when we know.
    settled: Option<(Trusted, Instant)>,
    /// What was complained of last.
    complaint: Option<String>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Keeper {
    /// A keeper that has seen nothing yet, and puts what is to be served into `served`.
    pub(in crate::admission) fn new(
        client: Client,
        names: Names,
        management: Management,
        times: Times,
        served: Served,
    ) -> Self {
        Self {
            host: names.host(),
            times,
            management,
            secrets: Api::namespaced(client.clone(), &names.namespace),
            configurations: Api::all(client.clone()),
            definitions: Api::all(client),
            served,
            serving: None,
            settled: None,
            complaint: None,
            names,
        }
    }

    /// Runs for ever. Nothing that the API server answers ends it.
    pub(in crate::admission) async fn run(mut self) {
        let mut secret = Followed::new(self.secrets.clone(), &self.names.secret);
        match self.management {
            Management::External => loop {
                self.heed(secret.next().await.err(), "secrets");
                if let Some(seen) = secret.get() {
                    self.serve_external(seen.map(Stored::read).as_ref());
                }
            },
            Management::Own => self.keep(secret).await,
        }
    }

    async fn keep(mut self, mut secret: Followed<Secret>) {
        let mut configuration =
            Followed::new(self.configurations.clone(), &self.names.configuration);
        let mut definitions = FollowedSet::new(&self.definitions, &self.names.definitions);
        let mut wake = None;
        loop {
            let woken = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let is_time = tokio::select! {
                news = secret.next() => {
                    self.heed(news.err(), "secrets");
                    false
                }
                news = configuration.next() => {
                    self.heed(news.err(), "validatingwebhookconfigurations");
                    false
                }
                news = definitions.next() => {
                    self.heed(news.err(), "customresourcedefinitions");
                    false
                }
                () = woken => true,
            };
            // Without the configuration a certificate can be served nevertheless.
            let Some(seen) = secret.get() else { continue };
            let stored = seen.map(Stored::read);
            self.serve(stored.as_ref());
            let service = (&*self.names.namespace, &*self.names.service);
            let configured = configuration.get().flatten();
            let trusted = Trusted::read_all(configured, definitions.values(), service);
            let step = self.plan(stored.as_ref(), trusted.as_ref());
            wake = match step {
                Step::Wait(time) => Some(Instant::now() + time),
                // Whoever is first does it; the others then see that it is done.
                _ if !is_time => {
                    let due = Instant::now() + JITTER.mul_f64(fastrand::f64());
                    Some(wake.map_or(due, |at: Instant| at.min(due)))
                }
                step => Some(self.take(step, &mut secret, trusted.as_ref()).await),
            };
        }
    }

    fn plan(&mut self, secret: Option<&Stored>, trusted: Option<&Trusted>) -> Step {
        if self.settled.as_ref().map(|(seen, _)| seen) != trusted {
            self.settled = trusted.map(|trusted| (trusted.clone(), Instant::now()));
        }
        let settled = self.settled.as_ref().map(|(_, since)| since.elapsed());
        let view = View { name: &self.host, secret, trusted, settled, now: (self.times.now)() };
        plan(&view, &self.times)
    }

    /// Takes a step that writes; says when to look again.
    async fn take(
        &mut self,
        step: Step,
        secret: &mut Followed<Secret>,
        trusted: Option<&Trusted>,
    ) -> Instant {
        let outcome = match &step {
            Step::Wait(_) => Ok(()),
            Step::Trust(bundle) => self.trust(bundle, secret, trusted).await,
            Step::Issue(_) | Step::Stage | Step::Promote => self.write(&step, secret).await,
        };
        match outcome {
            Ok(()) => {
                self.complaint = None;
                // What was written comes back as news, and is planned upon then.
                Instant::now() + RETRY
            }
            Err(error) => {
                self.complain(&error.to_string());
                Instant::now() + RETRY
            }
        }
    }

    /// Tells the API server whom to trust, if that still follows from the Secret: one that is
    /// watched over a dead connection could be old news.
    async fn trust(
        &mut self,
        bundle: &str,
        secret: &mut Followed<Secret>,
        trusted: Option<&Trusted>,
    ) -> Result<(), KeeperError> {
        let Some(trusted) = trusted else { return Ok(()) };
        let fresh = timed(self.secrets.get_opt(&self.names.secret)).await?;
        let same = self.plan(fresh.as_ref().map(Stored::read).as_ref(), Some(trusted))
            == Step::Trust(bundle.to_owned());
        secret.set(fresh);
        if !same {
            return Ok(());
        }
        self.trust_definitions(bundle, trusted).await?;
        if trusted.is_in_configuration(bundle) {
            return Ok(());
        }
        let name = &self.names.configuration;
        let patch = trusted.patch(name, bundle);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match timed(self.configurations.patch(name, &params, &Patch::Apply(patch))).await {
            Err(KeeperError::Conflict) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                tracing::info!(configuration = name, "the API server trusts the certificate");
                Ok(())
            }
        }
    }

    /// Without this no object can be read in another version than it is stored in.
    async fn trust_definitions(&self, bundle: &str, trusted: &Trusted) -> Result<(), KeeperError> {
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        for (name, patch) in trusted.definition_patches(bundle) {
            match timed(self.definitions.patch(&name, &params, &Patch::Merge(patch))).await {
                // Somebody has changed it; what it is now arrives.
                Err(KeeperError::Conflict) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    tracing::info!(definition = name, "the API server trusts the certificate");
                }
            }
        }
        Ok(())
    }

    /// Writes the pairs that a step asks for.
    async fn write(
        &mut self,
        step: &Step,
        secret: &mut Followed<Secret>,
    ) -> Result<(), KeeperError> {
        let seen = secret.get().flatten().cloned();
        let stored = seen.as_ref().map(Stored::read);
        let Some(made) = self.pairs(step, stored.as_ref())? else { return Ok(()) };
        let content = Content { current: &made.0, next: made.1.as_ref(), old: made.2.as_deref() };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), dry_run: false };
        let written = match seen {
            Some(seen) => {
                let wanted = content.write(seen);
                timed(self.secrets.replace(&self.names.secret, &params, &wanted)).await
            }
            None => {
                let metadata = ObjectMeta {
                    name: Some(self.names.secret.clone()),
                    namespace: Some(self.names.namespace.clone()),
                    ..ObjectMeta::default()
                };
                let wanted = content.write(Secret { metadata, ..Secret::default() });
                timed(self.secrets.create(&params, &wanted)).await
            }
        };
        match written {
            // Another replica was first: what it wrote arrives.
            Err(KeeperError::Conflict) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                self.tell(step);
                Ok(())
            }
        }
    }

    /// The pairs after a step: the one to serve, the next one, the certificate before.
    fn pairs(&self, step: &Step, stored: Option<&Stored>) -> Result<Option<Pairs>, KeeperError> {
        let issue = || {
            Pair::issue(&self.host, (self.times.now)(), self.times.lifetime)
                .map_err(|error| KeeperError::NotMade(error.to_string()))
        };
        if matches!(step, Step::Issue(_)) {
            return Ok(Some((issue()?, None, None)));
        }
        let Some(Stored { current: Current::Pair(current), next, old, .. }) = stored else {
            return Ok(None);
        };
        Ok(match (step, next) {
            (Step::Stage, _) => Some((current.clone(), Some(issue()?), old.clone())),
            (Step::Promote, Some(Ok(next))) => {
                Some((next.clone(), None, Some(current.certificate.to_string())))
            }
            _ => None,
        })
    }

    fn tell(&self, step: &Step) {
        let secret = &self.names.secret;
        match step {
            Step::Issue(Reason::Unusable(error)) => tracing::warn!(
                secret,
                %error,
                "the admission webhook's Secret couldn't be used; made a new certificate"
            ),
            Step::Issue(_) => {
                tracing::info!(secret, "made a certificate for the admission webhook");
            }
            Step::Stage => tracing::info!(secret, "made the admission webhook's next certificate"),
            Step::Promote => tracing::info!(secret, "replaced the admission webhook's certificate"),
            Step::Trust(_) | Step::Wait(_) => {}
        }
    }

    /// Serves what the Secret holds; whatever was served goes on where it holds nothing usable.
    fn serve(&mut self, stored: Option<&Stored>) {
        if let Some(Stored { current: Current::Pair(pair), .. }) = stored
            && self.serving.as_ref() != Some(pair)
        {
            self.served.set(pair.served());
            self.serving = Some(pair.clone());
            tracing::info!(
                secret = self.names.secret,
                "serving the admission webhook's certificate"
            );
        }
    }

    fn serve_external(&mut self, stored: Option<&Stored>) {
        let trouble = match stored {
            None => Some("there is no such Secret yet".to_owned()),
            Some(Stored { current: Current::Empty, .. }) => Some("it is empty".to_owned()),
            Some(Stored { current: Current::Broken(error), .. }) => Some(error.to_string()),
            Some(Stored { current: Current::Pair(pair), authority, .. }) => {
                let authority = authority.as_deref().filter(|pem| !pem.is_empty());
                pair.check(&self.host, (self.times.now)(), authority).err().map(|e| e.to_string())
            }
        };
        match trouble {
            None => self.complaint = None,
            Some(trouble) => self.complain(&trouble),
        }
        self.serve(stored);
    }

    /// Notes an error of a watch, which goes on by itself, or that there is none any more.
    fn heed(&mut self, error: Option<kube_runtime::watcher::Error>, resource: &str) {
        match error {
            None => self.complaint = None,
            Some(error) => self.complain(&format!("watching {resource}: {error}")),
        }
    }

    /// Logs what is new of what goes wrong.
    fn complain(&mut self, complaint: &str) {
        if self.complaint.as_deref() != Some(complaint) {
            tracing::warn!(
                secret = self.names.secret,
                namespace = self.names.namespace,
                error = complaint,
                "the admission webhook's certificate can't be kept in order; requests are served all the same"
            );
            self.complaint = Some(complaint.to_owned());
        }
    }
}

/// The pair to serve, the next one, and the certificate before as PEM.
type Pairs = (Pair, Option<Pair>, Option<String>);

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum KeeperError {
    #[error("another was first")]
    Conflict,
    #[error("no answer within ten seconds")]
    Timeout,
    #[error("{0}")]
    NotMade(String),
    #[error("{0}")]
    Api(#[source] kube::Error),
}

async fn timed<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, KeeperError> {
    match tokio::time::timeout(REQUEST_DEADLINE, request).await {
        Err(_) => Err(KeeperError::Timeout),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(KeeperError::Conflict),
        Ok(result) => result.map_err(KeeperError::Api),
    }
}
