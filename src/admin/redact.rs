//! Which headers hold what nobody may read in diagnostics. A Mapping may add a token that comes
//! from the gateway's environment, so that it stands in no object that others can read.

/// What is shown instead.
pub(super) const REDACTED: &str = "[redacted]";

/// Headers whose very purpose is to prove who somebody is.
const CREDENTIALS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
/// Words that name a secret wherever they stand in a name.
const WORDS: [&str; 8] =
    ["token", "secret", "password", "passwd", "credential", "api-key", "apikey", "api_key"];

/// Whether the value of a header, or a query parameter, of this name is kept back.
pub(super) fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.contains(&name.as_str()) || WORDS.iter().any(|word| name.contains(word))
}

/// A value, unless its name says that nobody may read it.
pub(super) fn shown(name: &str, value: String) -> String {
    if is_sensitive(name) { REDACTED.to_owned() } else { value }
}

#[cfg(test)]
mod tests {
    use super::is_sensitive;

    #[test]
    fn names_tell_secrets() {
        for name in ["Authorization", "cookie", "x-api-key", "X-Auth-Token", "client_secret"] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in ["x-user", "accept", "x-request-id", "origin", "cookie-policy"] {
            assert!(!is_sensitive(name), "{name}");
        }
    }
}
