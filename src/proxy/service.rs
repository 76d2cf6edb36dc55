//! The order of the steps on a request's way; each is a tower layer in `filters`.

use std::rc::Rc;

use tower::ServiceBuilder;

use super::connection::Conn;
use super::dispatch::Dispatch;
use super::filters::admit::{Admit, AdmitLayer};
use super::filters::compress::{Compress, CompressLayer};
use super::filters::forwarded::{Forwarded, ForwardedLayer};
use super::filters::record::{Record, RecordLayer};
use super::filters::strict::{Strict, StrictLayer};
use super::worker::Worker;

/// What a connection is served with. Concrete, so that a layer costs no allocation.
pub(crate) type Service = Record<Compress<Strict<Forwarded<Admit<Dispatch>>>>>;

/// The service of one connection.
pub(crate) fn build_service(worker: &Rc<Worker>, conn: &Rc<Conn>) -> Service {
    ServiceBuilder::new()
        // Everything below is timed, counted and logged.
        .layer(RecordLayer::new(worker, conn))
        // Answers are compressed where that is wanted, the gateway's own as well.
        .layer(CompressLayer)
        // What isn't strictly HTTP goes no further; path and host get their one canonical form.
        .layer(StrictLayer)
        // Hop-by-hop headers go, the gateway's own come, whatever the route.
        .layer(ForwardedLayer)
        // Who may not ask goes no further; it is known now who asks.
        .layer(AdmitLayer)
        .service(Dispatch)
}
