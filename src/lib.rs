//! Nuncio: a Kubernetes-native API gateway, the successor for users of Ambassador / Emissary-ingress.
//!
//! Modules in the order of the data's flow; see ARCHITECTURE.md for the picture.
#![forbid(unsafe_code)]

pub mod controller;
pub mod model;
pub mod proxy;
pub mod publish;
pub mod routing;
pub mod source;
