//! What an account may do, what it did, and the difference. Pure.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// One thing that an account may do: a single verb on a single resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grant {
    /// The namespace of the binding; `None` is the whole cluster.
    pub(crate) namespace: Option<String>,
    pub(crate) group: String,
    /// With its subresource, `mappings/status`.
    pub(crate) resource: String,
    pub(crate) verb: String,
    /// The only object that it is for.
    pub(crate) name: Option<String>,
}

/// One thing that an account asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    /// `None` is a request across all namespaces.
    pub(crate) namespace: Option<String>,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) verb: String,
    pub(crate) name: Option<String>,
    pub(crate) allowed: bool,
}

/// What is wrong with the rules of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// It asked for something and was refused.
    Refused(Use),
    /// It may do everything of some sort.
    Wildcard(Grant),
    /// It never did this.
    Unused(Grant),
    /// It did this in one namespace only, which could be the rule's.
    OneNamespace(Grant, String),
    /// It did this to one object only, which the rule could name.
    OneObject(Grant, String),
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, resource, verb, .. } = self;
        let place = self.namespace.as_deref().unwrap_or("all namespaces");
        let name = self.name.as_deref().unwrap_or("*");
        write!(f, "{verb} {resource} of {group:?} in {place}, name {name}")
    }
}

/// The grants of a role's rules, bound in `namespace` or everywhere.
pub(crate) fn flatten(rules: &Value, namespace: Option<&str>) -> BTreeSet<Grant> {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut grants = BTreeSet::new();
    for rule in rules.as_array().into_iter().flatten() {
        let names = texts(&rule["resourceNames"]);
        let names =
            if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    grants.extend(names.iter().map(|name| Grant {
                        namespace: namespace.map(str::to_owned),
                        group: group.clone(),
                        resource: resource.clone(),
                        verb: verb.clone(),
                        name: name.clone(),
                    }));
                }
            }
        }
    }
    grants
}

/// What one event of the audit log says that `user` did. Requests for no resource, such as
/// discovery, count only when they are refused.
pub(crate) fn read_event(event: &Value, user: &str) -> Vec<Use> {
    if event["user"]["username"] != user {
        return Vec::new();
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let allowed = event["annotations"]["authorization.k8s.io/decision"] == "allow";
    let object = &event["objectRef"];
    let Some(mut resource) = text(&object["resource"]) else {
        let path = text(&event["requestURI"]).unwrap_or_default();
        let verb = text(&event["verb"]).unwrap_or_default();
        let (group, resource) = (String::new(), path);
        let refused = Use { namespace: None, group, resource, verb, name: None, allowed };
        return if allowed { Vec::new() } else { vec![refused] };
    };
    if let Some(part) = text(&object["subresource"]) {
        resource = format!("{resource}/{part}");
    }
    let asked = Use {
        namespace: text(&object["namespace"]),
        group: text(&object["apiGroup"]).unwrap_or_default(),
        resource,
        verb: text(&event["verb"]).unwrap_or_default(),
        name: text(&object["name"]),
        allowed,
    };
    // Server-side apply of a new object needs the permission to create it, too.
    let created = asked.verb == "patch" && event["responseStatus"]["code"] == 201;
    let creation = created.then(|| Use { verb: "create".to_owned(), name: None, ..asked.clone() });
    [asked].into_iter().chain(creation).collect()
}

/// What is wrong, given everything that the account may do and all it did.
pub(crate) fn compare(grants: &BTreeSet<Grant>, uses: &BTreeSet<Use>) -> BTreeSet<Finding> {
    let refused = uses.iter().filter(|asked| !asked.allowed).cloned().map(Finding::Refused);
    refused.chain(grants.iter().filter_map(|grant| judge(grant, uses))).collect()
}

fn judge(grant: &Grant, uses: &BTreeSet<Use>) -> Option<Finding> {
    if [&grant.group, &grant.resource, &grant.verb].iter().any(|part| part.contains('*')) {
        return Some(Finding::Wildcard(grant.clone()));
    }
    let by_it: Vec<&Use> = uses.iter().filter(|asked| is_by(asked, grant)).collect();
    let only = |part: fn(&Use) -> &Option<String>| {
        let values: BTreeSet<&Option<String>> = by_it.iter().map(|asked| part(asked)).collect();
        values.first().filter(|_| values.len() == 1).and_then(|one| (*one).clone())
    };
    if by_it.is_empty() {
        return Some(Finding::Unused(grant.clone()));
    }
    if let (None, Some(namespace)) = (&grant.namespace, only(|asked| &asked.namespace)) {
        return Some(Finding::OneNamespace(grant.clone(), namespace));
    }
    // A rule can't name what is created.
    let name = only(|asked| &asked.name)?;
    let could_name_it = grant.name.is_none() && grant.verb != "create";
    could_name_it.then(|| Finding::OneObject(grant.clone(), name))
}

fn is_by(asked: &Use, grant: &Grant) -> bool {
    let fits = |rule: &Option<String>, asked: &Option<String>| rule.is_none() || rule == asked;
    asked.allowed
        && (&asked.group, &asked.resource, &asked.verb)
            == (&grant.group, &grant.resource, &grant.verb)
        && fits(&grant.namespace, &asked.namespace)
        && fits(&grant.name, &asked.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(verb: &str, namespace: &str, name: &str, decision: &str) -> Value {
        json!({
            "user": {"username": "me"}, "verb": verb, "responseStatus": {"code": 200},
            "annotations": {"authorization.k8s.io/decision": decision},
            "objectRef": {
                "resource": "things", "subresource": "status", "apiGroup": "g",
                "namespace": namespace, "name": name,
            },
        })
    }

    fn uses(events: &[Value]) -> BTreeSet<Use> {
        events.iter().flat_map(|event| read_event(event, "me")).collect()
    }

    fn findings(rules: &Value, namespace: Option<&str>, events: &[Value]) -> Vec<String> {
        let found = compare(&flatten(rules, namespace), &uses(events));
        found
            .iter()
            .map(|f| format!("{f:?}").split('(').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn rules_that_are_used_and_no_more_are_right() {
        let rules =
            json!([{"apiGroups": ["g"], "resources": ["things/status"], "verbs": ["patch"]}]);
        let events = [event("patch", "a", "x", "allow"), event("patch", "b", "y", "allow")];
        assert_eq!(findings(&rules, None, &events), [""; 0]);
        assert_eq!(findings(&rules, Some("a"), &events), ["OneObject"]);
        let one = &events[..1];
        assert_eq!(findings(&rules, None, one), ["OneNamespace"]);
        let foreign = json!({"user": {"username": "you"}});
        assert_eq!(findings(&rules, None, &[foreign]), ["Unused"]);
        let refused = event("patch", "b", "y", "forbid");
        assert_eq!(findings(&rules, None, std::slice::from_ref(&refused)), ["Refused", "Unused"]);
    }

    #[test]
    fn each_verb_and_name_is_a_grant_of_its_own() {
        let rules = json!([{
            "apiGroups": ["g"], "resources": ["things/status"], "verbs": ["get", "patch"],
            "resourceNames": ["x", "y"],
        }]);
        let events = [event("get", "a", "x", "allow"), event("patch", "a", "y", "allow")];
        assert_eq!(findings(&rules, Some("a"), &events), ["Unused", "Unused"]);
        let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        assert_eq!(findings(&all, None, &events), ["Wildcard"]);
    }

    #[test]
    fn applying_what_is_new_creates_it() {
        let mut applied = event("patch", "a", "x", "allow");
        applied["responseStatus"]["code"] = json!(201);
        let verbs: Vec<String> = uses(&[applied]).into_iter().map(|asked| asked.verb).collect();
        assert_eq!(verbs, ["create", "patch"]);
    }

    #[test]
    fn refused_paths_count() {
        let path = |decision: &str| {
            json!({
                "user": {"username": "me"}, "verb": "get", "requestURI": "/apis",
                "annotations": {"authorization.k8s.io/decision": decision},
            })
        };
        assert_eq!(findings(&json!([]), None, &[path("allow")]), [""; 0]);
        assert_eq!(findings(&json!([]), None, &[path("forbid")]), ["Refused"]);
    }
}
