//! A request to a virtual CPU that moves to another physical one at the same time.

use loom::sync::Arc;
use loom::thread;

use crate::requests::Requests;
use crate::whereabouts::Whereabouts;

/// Where the virtual CPU was, and where it goes.
const FROM: u64 = 0;
const TO: u64 = 1;

struct Shared {
    whereabouts: Whereabouts,
    requests: Requests,
}

/// Leaves a request, then says which pCPU is called for it.
fn ask(shared: &Shared, request: u32) -> u64 {
    shared.requests.leave(request);
    shared.whereabouts.find()
}

/// Takes the virtual CPU up, then says which requests are served before its guest runs.
fn take_up(shared: &Shared) -> u32 {
    shared.whereabouts.arrive(TO);
    shared.requests.take()
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared {
        whereabouts: Whereabouts::new(FROM),
        requests: Requests::default(),
    })
}

#[test]
fn request_is_found_where_the_virtual_cpu_arrives_or_its_call_goes_there() {
    loom::model(|| {
        let shared = shared();
        let mover = Arc::clone(&shared);
        let thread = thread::spawn(move || take_up(&mover));
        let called = ask(&shared, 1);
        let served = thread.join().unwrap();
        assert!(served == 1 || called == TO, "a request without an answer");
    });
}

#[test]
fn of_two_requests_none_is_lost_either() {
    loom::model(|| {
        let shared = shared();
        let (mover, other) = (Arc::clone(&shared), Arc::clone(&shared));
        let moves = thread::spawn(move || take_up(&mover));
        let asks = thread::spawn(move || ask(&other, 2));
        let called = [ask(&shared, 1), asks.join().unwrap()];
        let served = moves.join().unwrap();
        for (request, called) in [1, 2].into_iter().zip(called) {
            assert!(served & request != 0 || called == TO, "request {request}");
        }
    });
}
