//! The gateway as a process with little memory.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::floods::admin::Admin;
use crate::floods::{raise_file_limit, upstream};

/// What the process may use.
pub(crate) const BUDGET: u64 = 128 * 1024 * 1024;

/// A running gateway, which ends with this value.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) admin: Admin,
    _directory: tempfile::TempDir,
}

impl Gateway {
    /// Starts one, and its upstream in this process.
    pub(crate) async fn start() -> Self {
        raise_file_limit();
        let upstream = upstream::start(Ipv4Addr::LOCALHOST.into());
        let directory = tempfile::tempdir().expect("a directory");
        let mapping = format!(
            "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: all}}\nspec:\n  \
             hostname: \"*\"\n  prefix: /\n  service: {upstream}\n  timeout_ms: 60000\n  connect_timeout_ms: 60000\n  \
             circuit_breakers: [{{max_connections: 20000, max_requests: 20000, \
             max_pending_requests: 20000}}]\n"
        );
        fs::write(directory.path().join("mapping.yaml"), mapping).expect("writable");
        let (http, admin) = (free_port(), free_port());
        let child = Command::new(env!("CARGO_BIN_EXE_nuncio"))
            .arg("serve")
            .arg(directory.path())
            .args(["--http-port", &http.port().to_string()])
            .args(["--admin-port", &admin.port().to_string()])
            .args(["--listen-address", "127.0.0.1", "--workers", "2", "--access-log", "off"])
            .args(["--memory-budget", &BUDGET.to_string(), "--drain-delay", "0"])
            .env_clear()
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let gateway = Self { child, http, admin: Admin(admin), _directory: directory };
        gateway.admin.wait_ready().await;
        gateway
    }

    /// Bytes of the process' own memory. Fails if it has ended.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the gateway runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("the gateway runs") * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("bound")
}
