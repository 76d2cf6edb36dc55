//! What becomes of each field that Emissary knows: told to authors, and printed in the documents.

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name, as a path from where the table begins.
    pub name: &'static str,
    /// What it is for, or what becomes of it.
    pub effect: Effect,
}

/// What a field does, seen from Emissary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// What it does there: in short, for the reference.
    Same(&'static str),
    /// More, or something safer: what, and how it differs.
    Better(&'static str, &'static str),
    /// Nothing: why, and what to write instead.
    None(&'static str),
}

/// A field that means the same.
pub(super) const fn same(name: &'static str, about: &'static str) -> Key {
    Key { name, effect: Effect::Same(about) }
}

/// A field that means the same but for a difference.
pub(super) const fn better(
    name: &'static str,
    about: &'static str,
    difference: &'static str,
) -> Key {
    Key { name, effect: Effect::Better(about, difference) }
}

/// A field without effect.
pub(super) const fn none(name: &'static str, why: &'static str) -> Key {
    Key { name, effect: Effect::None(why) }
}
