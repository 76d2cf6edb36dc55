//! Nuncio: a Kubernetes-native API gateway, the successor for users of Ambassador / Emissary-ingress.
//!
//! Modules in the order of the data's flow; see ARCHITECTURE.md for the picture.
#![forbid(unsafe_code)]

pub mod convert;
pub mod crd;
pub mod source;

pub mod model;
pub mod routing;

pub mod publish;

pub mod proxy;

pub mod controller;

pub mod admin;
pub mod admission;
pub mod migrate;
pub mod telemetry;

pub mod app;
pub mod cli;
pub mod settings;
