//! End-to-end tests: the real gateway in a real cluster, used as people use it. `tests/e2e/run`
//! prepares all that and starts these; they need the names it sets in the environment.
//!
//! The tests share one gateway, so they run one after the other, each in its own namespaces.
#![allow(clippy::panic, clippy::print_stdout, reason = "a test tells and fails")]

mod admission;
mod bad_input;
mod bad_install;
mod barrier;
mod changes;
mod chart;
mod conversion;
mod crds;
mod docs;
mod faults;
#[path = "../docs/fences.rs"]
mod fences;
#[path = "../shed/floods/mod.rs"]
mod floods;
mod flux;
mod gitops;
mod grpc;
mod http2;
mod kinds;
mod kubectl;
mod main_job;
mod manifests;
mod mappings;
mod privileges;
mod refusals;
mod replicas;
mod scale;
mod secrets;
mod shed;
mod soak;
mod sticky;
mod support;
mod tcp;
mod tls;
mod upgrades;
