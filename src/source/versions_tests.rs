//! What replicas know of each other: rows, and any order of lists, events and losses.

use proptest::prelude::*;

use super::*;

const C: Collection = Collection::Mappings;

fn at(number: u64) -> Version {
    Version { collection: C, number }
}

fn versions(pairs: &[(Collection, Option<u64>)]) -> Versions {
    pairs.iter().copied().collect()
}

/// Needed and complete of the one collection.
fn numbers(marks: &Marks) -> (Option<u64>, Option<u64>) {
    let get = |versions: Versions| versions.0.get(&C).copied().flatten();
    (get(marks.needed()), get(marks.complete()))
}

#[test]
fn lists_are_complete_at_their_end_and_events_at_once() {
    let mut marks = Marks::new([C]);
    assert_eq!(numbers(&marks), (None, None));
    marks.begin_list(C);
    marks.take(at(9));
    marks.take(at(7));
    assert_eq!(numbers(&marks), (Some(9), None));
    marks.end_list(at(40));
    assert_eq!(numbers(&marks), (Some(9), Some(40)), "a list tells of a later moment");
    marks.take(at(41));
    assert_eq!(numbers(&marks), (Some(41), Some(41)));

    // Something changes between the question for the version and the list.
    marks.begin_list(C);
    marks.take(at(52));
    marks.end_list(at(50));
    assert_eq!(numbers(&marks), (Some(52), Some(52)));

    // A restored backup counts from anew; so does a definition that comes back.
    marks.begin_list(C);
    marks.take(at(8));
    marks.end_list(at(20));
    assert_eq!(numbers(&marks), (Some(8), Some(20)));
    marks.forget(C);
    assert_eq!(numbers(&marks), (None, None));
}

#[test]
fn what_covers_what() {
    let services = Collection::Services;
    let rows: &[(&[_], &[_], bool)] = &[
        (&[(C, Some(5))], &[(C, Some(5))], true),
        (&[(C, Some(4))], &[(C, Some(5))], false),
        (&[(C, None)], &[(C, Some(5))], false),
        (&[(C, None)], &[], true),
        (&[(C, Some(9)), (services, Some(1))], &[(C, Some(5)), (services, Some(2))], false),
        // A version that doesn't follow Services at all.
        (&[(C, Some(9))], &[(C, Some(5)), (services, Some(2))], true),
        // One that hasn't listed anything yet.
        (&[], &[(C, Some(5))], false),
        (&[], &[], true),
    ];
    for (complete, wanted, expected) in rows {
        assert_eq!(
            versions(complete).covers(&versions(wanted)),
            *expected,
            "{complete:?} {wanted:?}"
        );
    }
}

/// What happens in a collection.
#[derive(Debug, Clone)]
enum Step {
    /// Something is written: an object changes or goes.
    Write { object: usize, gone: bool },
    /// Something is written elsewhere: the version grows, and nobody hears of it here.
    Elsewhere,
    /// A process takes in up to so many events.
    Follow { process: usize, events: usize },
    /// A process loses its watch, and lists anew; writes may come between its two questions.
    List { process: usize, writes_between: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_usize, any::<bool>()).prop_map(|(object, gone)| Step::Write { object, gone }),
        1 => Just(Step::Elsewhere),
        6 => (0..2_usize, 0..4_usize).prop_map(|(process, events)| Step::Follow { process, events }),
        1 => (0..2_usize, 0..3_usize)
            .prop_map(|(process, writes_between)| Step::List { process, writes_between }),
    ]
}

/// The API server: each object's version, and the history.
#[derive(Default)]
struct Server {
    version: u64,
    objects: BTreeMap<usize, u64>,
    history: Vec<(u64, usize, bool)>,
}

/// A process that follows it.
struct Process {
    marks: Marks,
    objects: BTreeMap<usize, u64>,
    position: u64,
}

impl Server {
    fn write(&mut self, object: usize, gone: bool) {
        if gone && !self.objects.contains_key(&object) {
            return;
        }
        self.version += 1;
        self.history.push((self.version, object, gone));
        if gone {
            self.objects.remove(&object);
        } else {
            self.objects.insert(object, self.version);
        }
    }
}

impl Process {
    fn new(server: &mut Server) -> Self {
        let mut process = Self { marks: Marks::new([C]), objects: BTreeMap::new(), position: 0 };
        process.list(server, 0);
        process
    }

    fn follow(&mut self, server: &Server, events: usize) {
        let position = self.position;
        let new = server.history.iter().filter(|(version, ..)| *version > position).take(events);
        for (version, object, gone) in new {
            self.marks.take(at(*version));
            if *gone {
                self.objects.remove(object);
            } else {
                self.objects.insert(*object, *version);
            }
            self.position = *version;
        }
    }

    fn list(&mut self, server: &mut Server, writes_between: usize) {
        let asked = server.version;
        for object in 0..writes_between {
            server.write(object, false);
        }
        self.marks.begin_list(C);
        for version in server.objects.values() {
            self.marks.take(at(*version));
        }
        self.marks.end_list(at(asked));
        self.objects = server.objects.clone();
        self.position = server.version;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whoever is said to have come as far as another has each of its objects at least as new;
    /// and whoever has followed to the end has come as far as everybody.
    #[test]
    fn coming_as_far_means_knowing_as_much(steps in prop::collection::vec(step(), 0..60)) {
        let mut server = Server { version: 10, ..Server::default() };
        let mut processes = [Process::new(&mut server), Process::new(&mut server)];
        for step in steps {
            match step {
                Step::Write { object, gone } => server.write(object, gone),
                Step::Elsewhere => server.version += 1,
                Step::Follow { process, events } => processes[process].follow(&server, events),
                Step::List { process, writes_between } => {
                    processes[process].list(&mut server, writes_between);
                }
            }
            for (leader, follower) in [(0, 1), (1, 0)] {
                let (leader, follower) = (&processes[leader], &processes[follower]);
                if !follower.marks.complete().covers(&leader.marks.needed()) {
                    continue;
                }
                for (object, version) in &leader.objects {
                    let known = follower.objects.get(object);
                    // It may have heard already that the object is gone.
                    let is_gone = server.history.iter().any(|(at, o, gone)| {
                        o == object && *gone && at > version && *at <= follower.position
                    });
                    prop_assert!(is_gone || known >= Some(version), "{object}@{version}: {known:?}");
                }
            }
        }
        for follower in 0..2 {
            processes[follower].follow(&server, usize::MAX);
            let complete = processes[follower].marks.complete();
            prop_assert!(complete.covers(&processes[1 - follower].marks.needed()));
        }
    }
}
