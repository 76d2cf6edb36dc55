use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::key::{Kind, Origin};

#[derive(Debug, PartialEq)]
struct Thing {
    key: ObjectKey,
    value: u8,
}

impl Keyed for Thing {
    fn key(&self) -> &ObjectKey {
        &self.key
    }
}

fn thing(n: u16, value: u8) -> Arc<Thing> {
    let (namespace, name) = ("".into(), format!("{n:05}").into());
    let key = ObjectKey { kind: Kind::Mapping, namespace, name, origin: Origin::Resource };
    Arc::new(Thing { key, value })
}

type List = Sorted<Arc<Thing>>;
type Oracle = BTreeMap<ObjectKey, Arc<Thing>>;

fn change(list: &mut List, oracle: &mut Oracle, n: u16, value: u8) {
    let item = thing(n, value);
    // Most values put something, so that lists grow over several chunks.
    if value < 100 {
        assert_eq!(list.remove(&item.key), oracle.remove(&item.key));
        return;
    }
    oracle.insert(item.key.clone(), Arc::clone(&item));
    list.insert(item);
}

/// The naive reading of [`Sorted::changes`].
fn differences(new: &Oracle, old: &Oracle) -> Vec<(Option<u8>, Option<u8>)> {
    let mut keys: Vec<_> = new.keys().chain(old.keys()).collect();
    keys.sort();
    keys.dedup();
    let value = |oracle: &Oracle, key| oracle.get(key).map(|thing| thing.value);
    let same = |key: &&ObjectKey| match (new.get(*key), old.get(*key)) {
        (Some(new), Some(old)) => Arc::ptr_eq(new, old),
        _ => false,
    };
    keys.into_iter()
        .filter(|key| !same(key))
        .map(|key| (value(old, key), value(new, key)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_list_is_a_sorted_map_and_knows_what_changed(
        first in prop::collection::vec((0_u16..600, any::<u8>()), 0..1500),
        then in prop::collection::vec((0_u16..600, any::<u8>()), 0..40),
        emptied in any::<bool>(),
        from in 0_u16..600,
    ) {
        let (mut list, mut oracle) = (List::default(), Oracle::new());
        for (n, value) in first {
            change(&mut list, &mut oracle, n, value);
        }
        let (old, old_oracle) = (list.clone(), oracle.clone());
        prop_assert!(list.is(&old) && list.changes(&old).is_empty());
        for n in 0..if emptied { 590 } else { 0 } {
            change(&mut list, &mut oracle, n, 0);
        }
        for (n, value) in then {
            change(&mut list, &mut oracle, n, value);
        }
        prop_assert!(list.iter().eq(oracle.values()), "{list:?}");
        prop_assert_eq!((list.len(), list.is_empty()), (oracle.len(), oracle.is_empty()));
        prop_assert!(old.iter().eq(old_oracle.values()), "a copy changed");
        prop_assert_eq!(&list, &oracle.values().cloned().collect());
        let value = |item: &Arc<Thing>| item.value;
        let changes = list.changes(&old).into_iter();
        let changes: Vec<_> =
            changes.map(|change| (change.old.map(value), change.new.map(value))).collect();
        prop_assert_eq!(changes, differences(&oracle, &old_oracle));
        let from = thing(from, 0);
        prop_assert_eq!(list.get(&from.key), oracle.get(&from.key));
        prop_assert!(list.from(|item| item.key < from.key).eq(oracle.range(&from.key..).map(|one| one.1)));
        let limit = 4 * list.len() / CHUNK + 2;
        prop_assert!(list.chunks.len() <= limit, "{} chunks of {}", list.chunks.len(), list.len());
        prop_assert!(list.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
    }
}

#[test]
fn a_change_copies_one_chunk() {
    let mut list: List = (0..1000).map(|n| thing(n, 1)).collect();
    assert_eq!(list.chunks.len(), 8, "what comes in order fills the chunks");
    let old = list.clone();
    list.insert(thing(500, 2));
    let shared = list.chunks.iter().zip(&old.chunks).filter(|(one, two)| Arc::ptr_eq(one, two));
    assert_eq!(shared.count(), 7);
    assert!(!list.is(&old));
}
