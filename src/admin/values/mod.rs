//! Every effective value with where it came from, in the words in which users write it: the name
//! is the field's, and the value is what one would write there to get the same.
//!
//! Derived from what is served and what was written, when somebody asks: nothing is kept for it.

mod cluster;
mod defaults;
mod http;
mod listener;
mod route;
mod shown;
mod tls;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::describe;
use crate::model::Build;
use crate::model::key::ObjectKey;
use crate::model::written::GatewayDefaults;

pub(super) use self::cluster::{Asked, of_upstream};
pub(super) use self::defaults::of_defaults;
pub(super) use self::http::of_http;
pub(super) use self::listener::{of_host, of_listener};
pub(super) use self::route::{of_connections, of_route};
pub(super) use self::tls::{HTTP_PROTOCOLS, of_termination};

/// One effective value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// The field, as its object writes it: `timeout_ms`.
    pub name: String,
    /// What one would write there to get the same; `null` is nothing at all.
    pub value: Json,
    /// Where it came from.
    pub from: Source,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Source {
    /// Nobody wrote it, or what was written is the default.
    Default,
    /// An object says so.
    Object {
        /// `Kind namespace/name`.
        object: String,
        /// Its field.
        field: String,
    },
    /// The process was told so when it was started.
    Process {
        /// The variable of its environment.
        variable: String,
    },
}

/// What the process was told that decides an effective value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process {
    /// `NUNCIO_UPSTREAM_TLS_VERIFY=require`.
    pub verify_upstreams: bool,
}

/// Where values are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origins<'a> {
    /// What is served, and all objects.
    pub(super) build: &'a Build,
    /// What the process was told.
    pub(super) process: Process,
}

/// One object's fields, and the Module's where the object says nothing.
#[derive(Debug)]
struct Finder<'a> {
    object: String,
    module: Option<(&'a ObjectKey, &'a GatewayDefaults)>,
}

impl Effective {
    /// Whether it is what everybody has who writes nothing.
    pub fn is_default(&self) -> bool {
        self.from == Source::Default
    }

    fn new(name: &str, value: impl Into<Json>, from: Source) -> Self {
        Self { name: name.to_owned(), value: value.into(), from }
    }
}

impl Source {
    fn object(object: &str, field: &str) -> Self {
        Self::Object { object: object.to_owned(), field: field.to_owned() }
    }
}

impl<'a> Finder<'a> {
    fn new(key: &ObjectKey, build: &'a Build) -> Self {
        Self { object: describe::object(key), module: build.module() }
    }

    /// A value that stands in the object's field of the same name, or else in a field of the
    /// Module.
    fn value(
        &self,
        name: &str,
        value: impl Into<Json>,
        own: bool,
        module: Option<&str>,
    ) -> Effective {
        let from = match (own, module) {
            (true, _) => Source::object(&self.object, name),
            (false, Some(field)) => self.module(field),
            (false, None) => Source::Default,
        };
        Effective::new(name, value, from)
    }

    /// A value of which only the object can say something.
    fn own(&self, name: &str, value: impl Into<Json>, own: bool) -> Effective {
        self.value(name, value, own, None)
    }

    fn module(&self, field: &str) -> Source {
        match self.module {
            Some((key, _)) => Source::object(&describe::object(key), field),
            None => Source::Default,
        }
    }

    /// What the Module says; `None` without one.
    fn defaults(&self) -> Option<&'a GatewayDefaults> {
        self.module.map(|(_, defaults)| defaults)
    }
}
