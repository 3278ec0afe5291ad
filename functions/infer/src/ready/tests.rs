//! What gives way, what is remembered, and that nobody waits beyond a deadline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;
use crate::tensor::Tensor;

#[derive(Debug)]
struct Sized(u64);

impl Prepared for Sized {
    fn run(&self, _: &[&Tensor], _: Instant) -> Result<Vec<Tensor>, Failure> {
        Ok(Vec::new())
    }

    fn bytes(&self) -> u64 {
        self.0
    }
}

const LIMITS: ReadyLimits = ReadyLimits { count: 2, bytes: 100 };

fn key(index: u8) -> Key {
    Key { what: What::Model([index; 32]), backend: 0, opened: 0 }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn load(ready: &Arc<Ready>, index: u8, bytes: u64) -> Result<bool, NotReady> {
    let got = ready.get(key(index), soon(), move || Ok(Box::new(Sized(bytes))));
    got.map(|(_, took)| took.is_some())
}

#[test]
fn what_was_used_longest_ago_gives_way() {
    let ready = Ready::new(LIMITS);
    assert_eq!(load(&ready, 1, 40), Ok(true));
    assert_eq!(load(&ready, 2, 40), Ok(true));
    assert_eq!(load(&ready, 1, 40), Ok(false));
    assert_eq!(load(&ready, 3, 40), Ok(true));
    assert_eq!(ready.load(), (2, 80));
    assert_eq!((load(&ready, 1, 40), load(&ready, 2, 40)), (Ok(false), Ok(true)));
    // One that fills all of it.
    assert_eq!((load(&ready, 4, 100), ready.load()), (Ok(true), (1, 100)));
    let error = load(&ready, 5, 101).unwrap_err();
    assert!(matches!(error, NotReady::Failure(Failure::Refused(why)) if why.contains("101 bytes")));
}

#[test]
fn a_refusal_is_remembered_and_a_lost_device_is_not() {
    let ready = Ready::new(LIMITS);
    let tries = Arc::new(AtomicUsize::new(0));
    let attempt = |failure: Failure, index| {
        let tries = Arc::clone(&tries);
        let load = move || {
            tries.fetch_add(1, Ordering::Relaxed);
            Err(NotReady::Failure(failure))
        };
        ready.get(key(index), soon(), load).unwrap_err()
    };
    for _ in 0..3 {
        let refused = Failure::Refused("unknown operator".into());
        assert_eq!(attempt(refused.clone(), 1), NotReady::Failure(refused));
    }
    assert_eq!(tries.load(Ordering::Relaxed), 1);
    for _ in 0..3 {
        let lost = Failure::Lost("gone".into());
        assert_eq!(attempt(lost.clone(), 2), NotReady::Failure(lost));
    }
    assert_eq!(tries.load(Ordering::Relaxed), 4);
}

#[test]
fn a_panic_while_loading_is_an_error() {
    let ready = Ready::new(LIMITS);
    let error = ready.get(key(1), soon(), || panic!("index out of bounds")).unwrap_err();
    let NotReady::Failure(Failure::Refused(why)) = error else { panic!("{error:?}") };
    assert_eq!(why, "it panicked: index out of bounds");
    assert_eq!(load(&ready, 2, 1), Ok(true));
}

#[test]
fn a_call_gives_up_at_its_deadline_and_the_next_finds_the_work_done() {
    let ready = Ready::new(LIMITS);
    let (go, wait) = mpsc::channel::<()>();
    let slow = move || {
        wait.recv().expect("the test says go");
        Ok(Box::new(Sized(1)) as Box<dyn Prepared>)
    };
    let error = ready.get(key(1), Instant::now() + Duration::from_millis(5), slow).unwrap_err();
    assert_eq!(error, NotReady::Failure(Failure::Deadline));
    go.send(()).unwrap();
    assert_eq!(load(&ready, 1, 99), Ok(false));
    assert_eq!(ready.load(), (1, 1));
}
