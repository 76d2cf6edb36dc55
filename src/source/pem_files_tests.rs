use tokio::task::JoinSet;

use super::*;
use crate::source::parse::secret_testing::{Made, server};

fn files(directory: &Path) -> PemSource {
    let path = |name: &str| directory.join(name).to_string_lossy().into();
    PemSource::Files { certificates: path("tls.crt"), key: Some(path("tls.key")) }
}

fn write(directory: &Path, made: &Made) {
    fs::write(directory.join("tls.crt"), &made.pem).unwrap();
    fs::write(directory.join("tls.key"), &made.key).unwrap();
}

fn leaf(state: &Option<SecretState>) -> Arc<[u8]> {
    let Some(SecretState::Present(contents)) = state else { panic!("{state:?}") };
    contents.certificate.clone().unwrap().unwrap().chain[0].clone()
}

#[tokio::test]
async fn files_are_followed_while_they_are_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let source = files(directory.path());
    let (want, wanted) = watch::channel(Arc::new(BTreeSet::from([source.clone()])));
    let (sender, mut events) = mpsc::channel(10);
    let mut task = JoinSet::new();
    task.spawn(watch(None, wanted, sender));
    let first = events.recv().await;
    assert_eq!(first, Some(Event::Pem(source.clone(), Some(SecretState::Missing))));

    for name in ["a.example.com", "b.example.com"] {
        let made = server(name, &[name]);
        write(directory.path(), &made);
        let Some(Event::Pem(_, state)) = events.recv().await else { panic!("an event") };
        assert_eq!(*leaf(&state), *made.der, "never half of the old and half of the new");
    }
    want.send(Arc::default()).unwrap();
    assert_eq!(events.recv().await, Some(Event::Pem(source, None)));
}

#[test]
fn a_pair_that_becomes_wrong_is_looked_at_twice() {
    let directory = tempfile::tempdir().unwrap();
    let source = files(directory.path());
    let wanted = BTreeSet::from([source.clone()]);
    let (wake, _woken) = mpsc::channel(1);
    let mut follower = Follower::new(None, wake);
    write(directory.path(), &server("a", &["a.example.com"]));
    assert_eq!(follower.look(&wanted).len(), 1);
    let next = server("b", &["b.example.com"]);
    fs::write(directory.path().join("tls.crt"), &next.pem).unwrap();
    assert_eq!(follower.look(&wanted), [], "the key may still come");
    fs::write(directory.path().join("tls.key"), &next.key).unwrap();
    let changes = follower.look(&wanted);
    assert_eq!(*leaf(&changes[0].1), *next.der);
    fs::remove_file(directory.path().join("tls.key")).unwrap();
    assert_eq!(follower.look(&wanted), []);
    assert_eq!(follower.look(&wanted), [(source, Some(SecretState::Missing))]);
}

#[test]
fn istios_files_are_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let secret = SecretKey { namespace: "nuncio".into(), name: "istio-certs".into() };
    let istio = IstioFiles { directory: directory.path().into(), secret: secret.clone() };
    let source = PemSource::Secret(secret);
    assert_eq!(read(&source, Some(&istio)), Some(SecretState::Missing));
    let made = server("mesh", &["mesh.example.com"]);
    for (name, text) in ISTIO.iter().zip([&made.pem, &made.key, &made.pem]) {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let state = read(&source, Some(&istio));
    assert_eq!(*leaf(&state), *made.der);
    let other = SecretKey { namespace: "shop".into(), name: "istio-certs".into() };
    assert_eq!(read(&PemSource::Secret(other), Some(&istio)), None);
}

#[test]
fn what_cant_be_read_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large.pem");
    fs::write(&file, vec![b'x'; MAX_SECRET_BYTES + 1]).unwrap();
    let state = |path: &Path| read_files(&path.to_string_lossy(), None);
    let expected = format!("{} is larger than 1 MiB", file.display());
    assert_eq!(state(&file), SecretState::Unreadable(expected.into()));
    let SecretState::Unreadable(text) = state(directory.path()) else { panic!("a directory") };
    assert!(text.contains("can't be read: "), "{text}");
}
