//! Errors of the API server and of the way to it, in words that say what to do.

use std::error::Error as StdError;

use kube::Client;
use kube::core::Status;
use kube_runtime::watcher::Error as WatcherError;

/// Where Nuncio's definitions come from, for messages.
const INSTALL: &str = "install Nuncio's definitions (chart nuncio-crds, or crds/)";

/// What to add to which role, for the end of a message about a refusal.
pub fn permission(verbs: &[&str], resource: &str, group: &str) -> String {
    let word = if verbs.len() == 1 { "verb" } else { "verbs" };
    let verbs = verbs.join(", ");
    let group = match group {
        "" => "the core API group".to_owned(),
        group => format!("API group {group}"),
    };
    format!("add {word} {verbs} on resource {resource} in {group}")
}

/// What an error means, in one line.
pub fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => explain_status(status),
        other => explain_connection(&chain(other)),
    }
}

/// The same for an error of a watch.
pub fn explain_watch(error: &WatcherError) -> String {
    match error {
        WatcherError::InitialListFailed(error)
        | WatcherError::WatchStartFailed(error)
        | WatcherError::WatchFailed(error) => explain(error),
        WatcherError::WatchError(status) => explain_status(status),
        WatcherError::NoResourceVersion => error.to_string(),
    }
}

fn explain_status(status: &Status) -> String {
    match status.code {
        401 => "the API server doesn't accept the credentials (401): the token is wrong or has \
                expired"
            .to_owned(),
        code => format!("{} ({code})", one_line(&status.message)),
    }
}

/// Adds what a certificate's error means to people who don't read TLS libraries.
fn explain_connection(text: &str) -> String {
    let hint = if text.contains("UnknownIssuer") {
        "the API server's certificate is not signed by the configured certificate authority"
    } else if text.contains("NotValidForName") {
        "the API server's certificate is for another name than the configured one"
    } else if text.contains("invalid peer certificate: Expired") {
        "the API server's certificate has expired"
    } else {
        return text.to_owned();
    };
    format!("{hint} ({text})")
}

/// An error and its causes, each once. The outermost says only that it is a service's.
fn chain(error: &kube::Error) -> String {
    let outer: &dyn StdError = error;
    let mut causes: Vec<String> = Vec::new();
    let mut next = outer.source().or(Some(outer));
    while let Some(cause) = next {
        let text = one_line(&cause.to_string());
        if !causes.iter().any(|before| before.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes.join(": ")
}

/// The first line: what follows are excerpts of what was read.
pub(super) fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// Why a kind can't be listed although the API server answers: what discovery says of it.
pub(super) async fn explain_missing(client: &Client, kind: Kind<'_>) -> String {
    let versions = served_versions(client, kind).await.unwrap_or_default();
    describe_missing(kind, &versions)
}

/// A kind to look for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind<'a> {
    pub(super) group: &'a str,
    /// The version that is read.
    pub(super) version: &'a str,
    pub(super) plural: &'a str,
}

fn describe_missing(kind: Kind<'_>, versions: &[String]) -> String {
    let version = kind.version;
    match versions {
        [] => format!("its definition is not installed; {INSTALL}"),
        versions => format!(
            "its definition serves {} but not {version}, which is read; {INSTALL}",
            versions.join(", ")
        ),
    }
}

/// The versions in which a kind is served. Everybody may ask this.
async fn served_versions(client: &Client, kind: Kind<'_>) -> kube::Result<Vec<String>> {
    let groups = client.list_api_groups().await?.groups;
    let group = groups.into_iter().find(|group| group.name == kind.group);
    let mut found = Vec::new();
    for version in group.into_iter().flat_map(|group| group.versions) {
        let resources = client.list_api_group_resources(&version.group_version).await?.resources;
        if resources.iter().any(|resource| resource.name == kind.plural) {
            found.push(version.version);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(&'static str, #[source] std::io::Error);

    fn service(outer: &'static str, inner: &str) -> kube::Error {
        kube::Error::Service(Box::new(Outer(outer, std::io::Error::other(inner.to_owned()))))
    }

    #[test]
    fn the_cause_is_told_once_and_in_one_line() {
        let cases = [
            (
                service("client error (Connect)", "Connection refused (os error 111)"),
                "client error (Connect): Connection refused (os error 111)",
            ),
            (service("tls: bad", "tls: bad"), "tls: bad"),
            (
                service("connect", "invalid peer certificate: UnknownIssuer"),
                "the API server's certificate is not signed by the configured certificate \
                 authority (connect: invalid peer certificate: UnknownIssuer)",
            ),
            (
                kube::Error::Api(Status::failure("Unauthorized", "").with_code(401).boxed()),
                "the API server doesn't accept the credentials (401): the token is wrong or has \
                 expired",
            ),
            (kube::Error::Api(Status::failure("no\nmore", "").with_code(500).boxed()), "no (500)"),
        ];
        for (error, expected) in cases {
            assert_eq!(explain(&error), expected);
        }
    }

    #[test]
    fn a_permission_is_named_as_a_role_writes_it() {
        assert_eq!(
            permission(&["list"], "services", ""),
            "add verb list on resource services in the core API group"
        );
        assert_eq!(
            permission(&["get", "update"], "leases", "coordination.k8s.io"),
            "add verbs get, update on resource leases in API group coordination.k8s.io"
        );
    }

    #[test]
    fn a_definition_without_our_version_is_told_from_none() {
        let kind = Kind { group: "g", version: "v3alpha1", plural: "mappings" };
        assert!(describe_missing(kind, &[]).starts_with("its definition is not installed; "));
        let versions = ["v1".to_owned(), "v2".to_owned()];
        let text = describe_missing(kind, &versions);
        assert!(text.starts_with("its definition serves v1, v2 but not v3alpha1"), "{text}");
    }
}
