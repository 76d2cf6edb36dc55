//! Resolvers: their kind says it all.

use crate::model::key::Kind;
use crate::model::written::ResolverKind;

use super::fields::{Fields, Problems};
use super::known::Known;

/// The way to find addresses that a resolver names; `None` for other kinds.
pub(super) fn parse_resolver(
    kind: Kind,
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<ResolverKind> {
    let resolver = match kind {
        Kind::KubernetesServiceResolver => ResolverKind::Dns,
        Kind::KubernetesEndpointResolver => ResolverKind::Endpoints,
        _ => return None,
    };
    let known = Known {
        of: &format!("a {}", kind.as_str()),
        effective: &["ambassador_id"],
        elsewhere: &[],
        silent: &[],
        no_effect: &[],
        defaults: &[],
    };
    known.tell(fields, problems);
    Some(resolver)
}
