//! Sessions, and where they are.

use std::collections::BTreeSet;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};

use http::{Request, header};

use crate::support::client::{Answer, Client};

/// What a session is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A cookie that the gateway has set.
    Cookie,
    /// A header of the client's.
    Header,
    /// The client's address.
    Source,
}

/// All sessions of one policy.
pub(super) struct Sessions {
    path: String,
    key: Key,
    gateways: Vec<(SocketAddr, Client)>,
    sessions: Vec<Session>,
}

struct Session {
    cookie: Option<String>,
    /// Where it was last.
    pod: String,
    /// Where it has been since `take_seen`.
    seen: BTreeSet<String>,
}

impl Sessions {
    /// Begins sessions with a first request each, which sets the one cookie.
    pub(super) fn begin(name: &str, key: Key, count: u16, gateways: &[SocketAddr]) -> Self {
        let gateways = gateways.iter().map(|address| (*address, Client::to(*address))).collect();
        let mut all = Self { path: format!("/{name}/"), key, gateways, sessions: Vec::new() };
        for index in 0..count {
            let answer = all.ask(index, usize::from(index) % all.gateways.len(), None);
            let answer = answer.unwrap_or_else(|e| panic!("{name}: {e}"));
            let set: Vec<_> = answer.headers.get_all(header::SET_COOKIE).iter().collect();
            assert_eq!(set.len(), usize::from(key == Key::Cookie), "{set:?}");
            let cookie = set.first().map(|line| line.to_str().expect("text"));
            let cookie = cookie.and_then(|line| line.split(';').next()).map(str::to_owned);
            let pod = answer.pod().expect("an echo answers");
            all.sessions.push(Session { cookie, pod, seen: BTreeSet::new() });
        }
        all
    }

    /// Each session asks every gateway. Gives the pods that have answered; an error where a
    /// session isn't at the same one with all gateways, or has no answer.
    pub(super) fn ask_all(&mut self) -> Result<BTreeSet<String>, String> {
        let mut used = BTreeSet::new();
        let mut torn = 0;
        for index in 0..self.sessions.len() {
            let number = u16::try_from(index).expect("a few");
            let cookie = self.sessions[index].cookie.clone();
            let mut pods = BTreeSet::new();
            for gateway in 0..self.gateways.len() {
                let answer = self.ask(number, gateway, cookie.as_deref());
                let answer = answer.unwrap_or_else(|e| panic!("{} {index}: {e}", self.path));
                // No pod that leaves, and none that comes, costs a request.
                let pod = answer.pod().unwrap_or_else(|| panic!("{}", answer.shown()));
                let again = answer.headers.get(header::SET_COOKIE);
                assert_eq!(again, None, "a cookie is set once");
                pods.insert(pod);
            }
            torn += usize::from(pods.len() > 1);
            let session = &mut self.sessions[index];
            session.pod.clone_from(pods.first().expect("there are gateways"));
            session.seen.extend(pods.iter().cloned());
            used.append(&mut pods);
        }
        if torn == 0 { Ok(used) } else { Err(format!("{torn} are at two pods")) }
    }

    /// Where they are, in order; what was seen before is forgotten.
    pub(super) fn places(&mut self) -> Vec<String> {
        self.take_seen();
        self.sessions.iter().map(|session| session.pod.clone()).collect()
    }

    /// The pods that have any.
    pub(super) fn pods(&self) -> BTreeSet<String> {
        self.sessions.iter().map(|session| session.pod.clone()).collect()
    }

    /// Where each has been.
    pub(super) fn take_seen(&mut self) -> Vec<BTreeSet<String>> {
        self.sessions.iter_mut().map(|session| mem::take(&mut session.seen)).collect()
    }

    fn ask(&mut self, index: u16, gateway: usize, cookie: Option<&str>) -> Result<Answer, String> {
        let (address, client) = &mut self.gateways[gateway];
        let request = Request::get(&self.path);
        match (self.key, cookie) {
            (Key::Header, _) => client.send(request.header("x-user", format!("user-{index}")), ""),
            (Key::Cookie, Some(cookie)) => client.send(request.header(header::COOKIE, cookie), ""),
            (Key::Cookie, None) => client.send(request, ""),
            (Key::Source, _) => {
                let [high, low] = (index + 1).to_be_bytes();
                let source = Ipv4Addr::new(127, 1, high, low);
                Client::to(*address).from(source).send(request, "")
            }
        }
    }
}
