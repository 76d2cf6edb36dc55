//! Between the versions of an object: v1 and v2 (which are written alike) on one side, v3alpha1
//! on the other. Pure, over JSON as the API server sends it.
//!
//! ```text
//!            up: what v2 wrote, in v3alpha1's words
//!  v1 = v2 ─────────────────────────────────────────► v3alpha1
//!          ◄─────────────────────────────────────────
//!            down: the same back
//! ```
//!
//! **Nothing is lost.** Either form can say what the other has no words for: a text where the
//! other has a list, a field left out where the other wants one. What `down(up(x))` would not give
//! back is kept in an annotation ([`crumb`]), and counts only as long as it still means what the
//! object says.
//!
//! **Nothing is refused for its content.** The API server converts whole lists, and one object
//! that can't be converted would hide all others of its kind. What isn't understood is carried
//! over as it is, and told in the object's status.

mod crumb;
mod down;
mod headers;
mod host;
mod id;
mod kinds;
mod labels;
mod tls;
mod up;

use serde_json::{Map, Value};

pub use self::crumb::{LEGACY_FORM, V3ALPHA1_FORM};
pub use self::host::SKIP_HOST;
pub use self::id::GUARD;
pub use self::kinds::{ConvertedKind, TlsField, of_kind};

/// The API group of all kinds that are converted.
pub const GROUP: &str = "getambassador.io";

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The oldest; written as v2 is.
    V1,
    /// What Emissary stores.
    V2,
    /// What the gateway reads.
    V3Alpha1,
}

/// Why an object can't be converted. None of these depends on what its spec says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// It isn't a map of fields.
    #[error("it is no object with apiVersion and kind")]
    NoObject,
    /// Its version, or the one that is asked for, isn't one of ours.
    #[error("\"{0}\" is no version of getambassador.io; there are v1, v2 and v3alpha1")]
    UnknownVersion(String),
    /// Its kind isn't one of ours.
    #[error("\"{0}\" is no kind of getambassador.io that has older versions")]
    UnknownKind(String),
}

/// A spec, or a map within one.
type Fields = Map<String, Value>;

impl Version {
    /// All, the oldest first.
    pub const ALL: [Self; 3] = [Self::V1, Self::V2, Self::V3Alpha1];

    /// Its name, such as `v2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3Alpha1 => "v3alpha1",
        }
    }

    /// As objects write it: `getambassador.io/v2`.
    pub fn api_version(self) -> String {
        format!("{GROUP}/{}", self.name())
    }

    /// Reads an `apiVersion`.
    ///
    /// # Errors
    /// If it is another group's, or no version of ours.
    pub fn parse(api_version: &str) -> Result<Self, ConvertError> {
        let name = api_version.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix('/'));
        let found = Self::ALL.into_iter().find(|version| Some(version.name()) == name);
        found.ok_or_else(|| ConvertError::UnknownVersion(api_version.to_owned()))
    }

    fn is_legacy(self) -> bool {
        self != Self::V3Alpha1
    }
}

/// An object in another version. Of its metadata nothing changes but our annotations.
///
/// # Errors
/// If it is no object of a kind and a version of ours; never for what its spec says.
pub fn convert(mut object: Value, to: Version) -> Result<Value, ConvertError> {
    let fields = object.as_object_mut().ok_or(ConvertError::NoObject)?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).ok_or(ConvertError::NoObject);
    let from = Version::parse(text("apiVersion")?)?;
    let kind = text("kind")?;
    let kind = of_kind(kind).ok_or_else(|| ConvertError::UnknownKind(kind.to_owned()))?;
    // What isn't a map nobody understands; it stays as it is.
    if from.is_legacy() != to.is_legacy()
        && let Some(Value::Object(spec)) = fields.get_mut("spec")
    {
        let spec = std::mem::take(spec);
        let turned = turn(kind, &spec, fields, to);
        fields.insert("spec".into(), Value::Object(turned));
    }
    fields.insert("apiVersion".into(), Value::String(to.api_version()));
    Ok(object)
}

/// A spec in the other form. The crumb that its object carries is used up, and a new one left
/// where it takes one to come back.
fn turn(kind: &ConvertedKind, spec: &Fields, object: &mut Fields, to: Version) -> Fields {
    type Turn = fn(&ConvertedKind, Fields) -> Fields;
    let (there, back): (Turn, Turn) =
        if to.is_legacy() { (down::spec, up::spec) } else { (up::spec, down::spec) };
    let (used, left) =
        if to.is_legacy() { (LEGACY_FORM, V3ALPHA1_FORM) } else { (V3ALPHA1_FORM, LEGACY_FORM) };
    let plain = there(kind, spec.clone());
    // Of its own form it has none, unless somebody copied the other's.
    crumb::take(object, left);
    let turned = match crumb::take(object, used) {
        Some(crumb) => crumb.apply(plain, |candidate| back(kind, candidate.clone()) == *spec),
        None => plain,
    };
    let returned = back(kind, turned.clone());
    if returned != *spec {
        crumb::leave(object, left, &returned, spec);
    }
    turned
}

/// What a v1 or v2 spec says in v3alpha1's words, without crumbs.
pub fn spec_to_v3alpha1(kind: &ConvertedKind, spec: Map<String, Value>) -> Map<String, Value> {
    up::spec(kind, spec)
}

#[cfg(test)]
mod tests;
