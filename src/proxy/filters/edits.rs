//! A route's header edits, with the values of this request in them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};

use crate::model::route::HeaderEdits;
use crate::model::template::{Field, Operator, Values};
use crate::proxy::exchange::Exchange;
use crate::proxy::log_format::write_field;

/// What the templates of one request can refer to.
#[derive(Debug)]
pub(crate) struct RequestValues<'a> {
    /// The record.
    pub(crate) exchange: &'a Exchange,
    /// The request's headers, where they are known.
    pub(crate) request: Option<&'a HeaderMap>,
    /// The response's headers, where they are known.
    pub(crate) response: Option<&'a HeaderMap>,
}

impl RequestValues<'_> {
    fn request_header(&self, name: &str) -> Option<Cow<'_, str>> {
        let exchange = self.exchange;
        match name {
            ":method" => Some(Cow::Borrowed(exchange.method.as_str())),
            ":path" => Some(Cow::Owned(exchange.with_path(str::to_owned))),
            ":scheme" => Some(Cow::Borrowed("http")),
            ":authority" | "host" => {
                let authority = exchange.authority.borrow();
                authority.as_ref().map(|value| Cow::Owned(lossy(value).into_owned()))
            }
            _ => self.request.and_then(|headers| headers.get(name)).map(lossy),
        }
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.response.and_then(|headers| headers.get(name)).map(lossy)
    }
}

fn lossy(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

impl Values for RequestValues<'_> {
    fn value(&self, operator: &Operator) -> Option<Cow<'_, str>> {
        match operator {
            Operator::RequestHeader(name, other) => self
                .request_header(name)
                .or_else(|| other.as_ref().and_then(|other| self.request_header(other))),
            Operator::ResponseHeader(name, other) => self
                .response_header(name)
                .or_else(|| other.as_ref().and_then(|other| self.response_header(other))),
            Operator::Field(field) => {
                let mut out = Vec::new();
                write_field(&mut out, self.exchange, *field, self.exchange.started.elapsed())
                    .then(|| Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
                    // Envoy's mark for none, in headers as in its log.
                    .or((*field == Field::ResponseFlags).then_some(Cow::Borrowed("-")))
            }
        }
    }
}

/// Renders what is to be added, before anything is removed.
pub(crate) fn render(edits: &HeaderEdits, values: &RequestValues<'_>) -> Vec<Option<HeaderValue>> {
    edits
        .add
        .iter()
        .map(|add| match add.value.literal() {
            Some(text) => HeaderValue::from_bytes(text.as_bytes()).ok(),
            None => add.value.render(values).and_then(|text| HeaderValue::try_from(text).ok()),
        })
        .collect()
}

/// Removes, then adds: Envoy's order.
pub(crate) fn apply(edits: &HeaderEdits, rendered: Vec<Option<HeaderValue>>, to: &mut HeaderMap) {
    for name in &edits.remove {
        to.remove(name);
    }
    for (add, value) in edits.add.iter().zip(rendered) {
        let Some(value) = value else { continue };
        if add.append {
            to.append(&add.name, value);
        } else {
            to.insert(&add.name, value);
        }
    }
}

/// Whether a template of `edits` refers to the request's headers.
pub(crate) fn reads_request(edits: &HeaderEdits) -> bool {
    edits.add.iter().any(|add| add.value.literal().is_none())
}
