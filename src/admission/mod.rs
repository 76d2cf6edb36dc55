//! The validating webhook: what can never work is refused when it is applied, with the words of
//! `nuncio check`. And on the same port the conversion webhook: objects in older versions.
//!
//! ```text
//! API server ─► server (TLS) ─► endpoint (limits) ─► review (pure)
//!                  ▲       └──► conversion (limits) ─► convert (pure)
//!              certificate ◄─► Secret, webhook configuration
//! ```
//!
//! A webhook and not a ValidatingAdmissionPolicy: its language has neither RE2's dialect nor the
//! grammar of services nor YAML, so the rules would stand twice and differ. The definitions of
//! resources keep their rules for what a schema can say.
//!
//! Nothing here may stop the gateway or delay it: errors are logged and tried again.

mod certificate;
mod conversion;
mod endpoint;
pub mod review;
mod server;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;

use std::net::SocketAddr;

use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use certificate::{Keeper, Served, Times};
pub use certificate::{Management, Names};
use review::ReviewSettings;

/// How the webhook is served.
#[derive(Debug, Clone)]
pub struct AdmissionOptions {
    /// The address that the API server's calls reach.
    pub listen: SocketAddr,
    /// The names of what belongs to its certificate.
    pub names: Names,
    /// Who sees to its certificate.
    pub management: Management,
    /// What judgements depend on.
    pub review: ReviewSettings,
}

/// Keeps the certificate and answers the API server until `stop`.
pub async fn run(client: Client, options: AdmissionOptions, stop: CancellationToken) {
    let served = Served::default();
    let tls = match server::tls(&served) {
        Ok(tls) => tls,
        Err(error) => {
            tracing::error!(%error, "TLS can't be set up; the admission webhook isn't served");
            return stop.cancelled().await;
        }
    };
    let keeper = Keeper::new(client, options.names, options.management, Times::DEFAULT, served);
    // On a set of its own: even a defect there must leave the gateway alone.
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.run());
    let watched = async {
        if let Some(Err(error)) = tasks.join_next().await {
            tracing::error!(%error, "the admission webhook's certificate is no longer kept");
        }
        std::future::pending().await
    };
    let serving = async {
        let opened = stop.run_until_cancelled(server::open(options.listen)).await;
        if let Some(listener) = opened {
            tracing::info!(address = %options.listen, "serving the admission webhook");
            let router = endpoint::router(options.review).merge(conversion::router());
            server::serve(listener, tls, router, stop.clone()).await;
        }
    };
    tokio::select! {
        () = serving => {}
        () = watched => {}
    }
}
