//! The order of the steps on a request's way; each is a tower layer in `filters`.

use std::rc::Rc;

use tower::ServiceBuilder;

use super::connection::Conn;
use super::dispatch::Dispatch;
use super::filters::forwarded::{Forwarded, ForwardedLayer};
use super::filters::record::{Record, RecordLayer};
use super::filters::strict::{Strict, StrictLayer};
use super::worker::Worker;

/// What a connection is served with. Concrete, so that a layer costs no allocation.
pub(crate) type Service = Record<Strict<Forwarded<Dispatch>>>;

/// The service of one connection.
pub(crate) fn build_service(worker: &Rc<Worker>, conn: &Rc<Conn>) -> Service {
    ServiceBuilder::new()
        // Everything below is timed, counted and logged.
        .layer(RecordLayer::new(worker, conn))
        // What isn't strictly HTTP goes no further; path and host get their one canonical form.
        .layer(StrictLayer)
        // Hop-by-hop headers go, the gateway's own come, whatever the route.
        .layer(ForwardedLayer)
        .service(Dispatch)
}
