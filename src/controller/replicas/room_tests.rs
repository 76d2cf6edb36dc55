use proptest::prelude::*;

use super::super::barrier::{Link, Membership, Replica, Said};
use super::*;
use crate::source::Collection;

const GRACE: Duration = Duration::from_secs(30);

fn versions(number: u64) -> Arc<Versions> {
    Arc::new([(Collection::Mappings, Some(number))].into_iter().collect())
}

/// One other replica that has come this far.
fn other(number: u64) -> Arc<Replicas> {
    let served = (*versions(number)).clone();
    let (instance, version) = (String::new(), String::new());
    let said = Some(Said { instance, version, ready: true, served });
    let address = ([10, 0, 0, 1], 8877).into();
    let replica = Replica { address, serving: true, link: Link::Connected, said };
    Arc::new(Replicas { membership: Membership::Known, by_name: [("b".into(), replica)].into() })
}

fn room(number: u64) -> Room<&'static str> {
    let mut room = Room::new(GRACE, Arc::default());
    room.set_replicas(other(number));
    room
}

fn pending() -> Option<Standing> {
    let text = "Waiting until every replica serves this generation; not yet confirmed by b";
    Some(Standing::Pending(text.into()))
}

fn except() -> Option<Standing> {
    let text = ", except that replica b has not confirmed it for more than 30 s: it is behind";
    Some(Standing::Except(text.into()))
}

const EVERYWHERE: Option<Standing> = Some(Standing::Everywhere);

#[test]
fn a_status_is_kept_back_then_pending_then_excepted_until_it_is_confirmed() {
    let (mut room, start) = (room(4), Instant::now());
    let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
    assert_eq!((room.standing(&"x"), room.wake()), (EVERYWHERE, None));
    room.enter("x", &versions(5), start);
    assert_eq!((room.standing(&"x"), room.wake()), (None, Some(after(1.0))));
    assert_eq!(room.look(after(0.9)), [""; 0]);
    assert_eq!(room.look(after(1.0)), ["x"]);
    assert_eq!((room.standing(&"x"), room.wake()), (pending(), Some(after(30.0))));
    assert_eq!(room.look(after(29.9)), [""; 0], "nothing new to say");
    assert_eq!(room.look(after(30.0)), ["x"]);
    assert_eq!((room.standing(&"x"), room.wake()), (except(), None));
    assert_eq!(room.look(after(300.0)), [""; 0]);
    room.set_replicas(other(5));
    assert_eq!(room.look(after(301.0)), ["x"]);
    assert_eq!((room.standing(&"x"), room.wake()), (EVERYWHERE, None));
    assert!(room.groups.is_empty() && room.group_of.is_empty());
}

#[test]
fn what_is_confirmed_soon_or_at_once_is_said_once() {
    let (mut room, start) = (room(4), Instant::now());
    room.enter("at once", &versions(4), start);
    assert_eq!(room.standing(&"at once"), EVERYWHERE);
    room.enter("soon", &versions(5), start);
    room.set_replicas(other(5));
    assert_eq!(room.look(start + Duration::from_millis(3)), ["soon"]);
    assert_eq!(room.timings.barrier.snapshot().count, 1);
}

#[test]
fn an_object_waits_for_its_newest_build_alone() {
    let (mut room, start) = (room(4), Instant::now());
    room.enter("x", &versions(5), start);
    room.enter("y", &versions(6), start);
    room.enter("x", &versions(7), start);
    assert_eq!(room.groups.len(), 2, "nobody waits for the first");
    room.set_replicas(other(6));
    assert_eq!(room.look(start), ["y"]);
    assert_eq!(room.standing(&"x"), None);
    room.leave(&"x");
    assert_eq!((room.standing(&"x"), room.groups.len()), (EVERYWHERE, 0));
}

#[test]
fn those_who_waited_in_vain_are_one_group() {
    let (mut room, start) = (room(4), Instant::now());
    for (number, key) in (5..).zip(["a", "b", "c"]) {
        room.enter(key, &versions(number), start);
    }
    room.enter("late", &versions(9), start + Duration::from_secs(20));
    assert_eq!(room.look(start + GRACE).len(), 4);
    assert_eq!(room.groups.len(), 2);
    for key in ["a", "b", "c"] {
        assert_eq!(room.standing(&key), except());
    }
    assert_eq!(room.standing(&"late"), pending());
    room.set_replicas(other(9));
    assert_eq!(room.look(start + GRACE).len(), 4);
    assert!(room.groups.is_empty() && room.group_of.is_empty());
}

/// What happens to a room.
#[derive(Debug, Clone)]
enum Step {
    Build { objects: Vec<usize> },
    Gone(usize),
    Progress(u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(0..5_usize, 1..4).prop_map(|objects| Step::Build { objects }),
        (0..5_usize).prop_map(Step::Gone),
        (0..4_u64).prop_map(Step::Progress),
        (0..20_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Against the plain reading of the rules: what may be said follows from what the object
    /// needs, since when, and how far the other replica is; and whoever is told of changes alone
    /// has heard of every one.
    #[test]
    fn what_may_be_said_follows_from_need_and_time(steps in prop::collection::vec(step(), 0..40)) {
        let (mut now, mut build, mut progress) = (Instant::now(), 1_u64, 0_u64);
        let mut room: Room<usize> = Room::new(GRACE, Arc::default());
        room.set_replicas(other(0));
        let mut waiting: HashMap<usize, (u64, Instant)> = HashMap::new();
        let mut heard: HashMap<usize, Option<Standing>> = HashMap::new();
        for step in steps {
            let mut news = Vec::new();
            match step {
                Step::Build { objects } => {
                    build += 1;
                    let needed = versions(build);
                    for object in objects {
                        room.enter(object, &needed, now);
                        waiting.insert(object, (build, now));
                        news.push(object);
                    }
                }
                Step::Gone(object) => {
                    room.leave(&object);
                    waiting.remove(&object);
                    news.push(object);
                }
                Step::Progress(more) => {
                    progress = (progress + more).min(build);
                    room.set_replicas(other(progress));
                }
                Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
            }
            news.extend(room.look(now));
            for object in news {
                heard.insert(object, room.standing(&object));
            }
            waiting.retain(|_, (needed, _)| *needed > progress);
            for object in 0..5 {
                let standing = room.standing(&object);
                let expected = match waiting.get(&object).map(|(_, since)| now - *since) {
                    None => EVERYWHERE,
                    Some(waited) if waited >= GRACE => except(),
                    Some(waited) if waited >= HOLD => pending(),
                    Some(_) => None,
                };
                // Those who waited in vain wait for the last of them.
                let is_late = standing == except() && expected == EVERYWHERE;
                prop_assert!(standing == expected || is_late, "{object}: {standing:?} {expected:?}");
                prop_assert_eq!(heard.get(&object).unwrap_or(&EVERYWHERE), &standing);
            }
            prop_assert!(room.wake().is_none_or(|wake| wake > now));
        }
        room.set_replicas(other(build));
        room.look(now);
        prop_assert!(room.groups.is_empty() && room.group_of.is_empty());
    }
}
