//! What people change: routes, weights, certificates, ports.

use std::net::{SocketAddr, TcpStream};

use serde_json::json;

use super::stage::{HOST, Stage};
use crate::support::client::Client;
use crate::support::writer::Verb;
use crate::support::{PATIENCE, wait_until};

/// The port that comes and goes.
const PORT: u16 = 8090;

pub(super) fn routes(stage: &Stage<'_>) -> String {
    let changes = stage.length.pick(10, 100);
    for change in 0..changes {
        let version = if change % 2 == 0 { "v2" } else { "v1" };
        stage.change(stage.to("changed", version));
        stage.wait_for(version);
    }
    stage.namespace.wait_ready("mapping/changed");
    format!("{changes} changes, each seen in every replica")
}

pub(super) fn weights(stage: &Stage<'_>) -> String {
    let rounds = stage.length.pick(1, 10);
    let mut client = stage.client();
    for _ in 0..rounds {
        for share in [90, 100, 50, 0, 50] {
            for (name, weight) in [("weighted-2", share), ("weighted-1", 100 - share)] {
                stage.change(stage.release.object("Mapping", name, json!({"weight": weight})));
            }
            wait_until(&format!("v2 has {share} %"), PATIENCE, || {
                let answers = (0..40).map(|_| stage.ask(&mut client, "/weighted/"));
                let of_second = answers.filter(|answer| answer.is_of("v2")).count();
                let is_right = match share {
                    0 => of_second == 0,
                    100 => of_second == 40,
                    _ => (1..40).contains(&of_second),
                };
                if is_right { Ok(()) } else { Err(format!("{of_second} of 40")) }
            });
        }
    }
    format!("{} shifts, each seen", rounds * 5)
}

pub(super) fn certificates(stage: &Stage<'_>) -> String {
    let rounds = stage.length.pick(1, 10);
    let https = SocketAddr::new(stage.address(), 443);
    for _ in 0..rounds {
        // The first one comes back at the end.
        for certificate in stage.certificates.iter().rev() {
            stage.namespace.apply(&[certificate.secret("soak")]);
            wait_until("the certificate is shown", PATIENCE, || {
                certificate.get(HOST, https, "/steady/").map(drop)
            });
        }
    }
    format!("{} rotations, each seen", rounds * stage.certificates.len())
}

pub(super) fn listeners(stage: &Stage<'_>) -> String {
    let rounds = stage.length.pick(2, 20);
    for _ in 0..rounds {
        stage.make(Verb::Create, stage.listener(PORT, "HTTP"));
        for (pod, address) in stage.release.pods(PORT) {
            wait_until(&format!("{pod} serves the port"), PATIENCE, || {
                let request = http::Request::get("/steady/").header("host", HOST);
                let answer = Client::to(address).send(request, "")?;
                if answer.status == 200 { Ok(()) } else { Err(answer.shown()) }
            });
        }
        stage.make(Verb::Delete, stage.listener(PORT, "HTTP"));
        for (pod, address) in stage.release.pods(PORT) {
            wait_until(&format!("{pod} has closed the port"), PATIENCE, || {
                let is_closed = TcpStream::connect(address).is_err();
                if is_closed { Ok(()) } else { Err("it is open".to_owned()) }
            });
        }
    }
    format!("{rounds} times a port more and less in every replica")
}
