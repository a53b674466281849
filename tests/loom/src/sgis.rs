//! SGIs of a GICv2, whose receiver is told who sent them.

use loom::sync::Arc;
use loom::thread;

use crate::requests::Requests;

const SGI: u32 = 3;

/// The senders of the SGI that is taken now, a bit each; none when it was not sent.
fn receive(requests: &Requests) -> u8 {
    if requests.take_sgis() & (1 << SGI) == 0 {
        return 0;
    }
    requests.take_sources(SGI)
}

#[test]
fn each_of_two_senders_is_heard_by_a_receiver_that_takes_meanwhile() {
    loom::model(|| {
        let requests = Arc::new(Requests::default());
        let (receiver, sender) = (Arc::clone(&requests), Arc::clone(&requests));
        let receives = thread::spawn(move || receive(&receiver));
        let sends = thread::spawn(move || sender.leave_sgi(1, SGI));
        requests.leave_sgi(2, SGI);
        sends.join().unwrap();
        let first = receives.join().unwrap();
        assert_eq!(first | receive(&requests), 0b110, "a sender is not heard");
    });
}
