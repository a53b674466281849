//! Bulkhead's own calls about the life of partitions, whichever way they come: by HVC or SMC, or through a page of registers.
//!
//! docs/guest-abi.md is their reference. What the system file does not grant is refused, and counted as [`Class::HypercallAbuse`].

use model::PartitionId;
use model::call::{Call, MOST_VALUES, Status};
use model::monitor::Class;

use super::control::{Order, Refused, State};
use super::record::Record;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

/// What a call gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub status: Status,
    values: [u64; MOST_VALUES],
    /// How many of them there are.
    given: usize,
}

impl Answer {
    const fn plain(status: Status) -> Self {
        Self {
            status,
            values: [0; MOST_VALUES],
            given: 0,
        }
    }

    fn with<const N: usize>(given: [u64; N]) -> Self {
        let mut answer = Self::plain(Status::Success);
        for (value, given) in answer.values.iter_mut().zip(given) {
            *value = given;
            answer.given += 1;
        }
        answer
    }

    /// The values beside the status.
    pub fn values(&self) -> &[u64] {
        self.values.get(..self.given).unwrap_or_default()
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        Self::plain(match refused {
            Refused::Denied => Status::Denied,
            Refused::NotNow => Status::InvalidParameters,
            #[cfg(feature = "shared")]
            Refused::NotYet => Status::NotPresent,
        })
    }
}

/// Answers a call by its number. `put` gives the answer to the guest, before anything is done about a caller that has failed.
pub(crate) fn call<M: Machine>(
    vcpu: &mut Vcpu<M>,
    number: u64,
    argument: u64,
    put: impl FnOnce(&mut Vcpu<M>, &Answer),
) {
    let call = Call::of(number as u32);
    let answer = answer(vcpu, call, argument).unwrap_or_else(Answer::from);
    put(vcpu, &answer);
    if matches!(answer.status, Status::Denied | Status::NotSupported) {
        vcpu.failed(Class::HypercallAbuse, number);
    } else if call == Some(Call::Panic) {
        vcpu.failed(Class::GuestPanic, argument);
    }
}

fn answer<M: Machine>(
    vcpu: &Vcpu<M>,
    call: Option<Call>,
    argument: u64,
) -> Result<Answer, Refused> {
    let (hypervisor, caller) = (vcpu.hypervisor, vcpu.partition);
    let target = || {
        let place = u8::try_from(argument).map_err(|_| Refused::Denied);
        place.map(PartitionId::new)
    };
    let numbered = || {
        let number = usize::try_from(argument >> 8).unwrap_or(usize::MAX);
        (PartitionId::new(argument as u8), number)
    };
    let order = match call {
        None => return Ok(Answer::plain(Status::NotSupported)),
        Some(Call::State) => {
            let State {
                code,
                restarts,
                faults,
            } = hypervisor.state_of(caller, target()?)?;
            return Ok(Answer::with([code, restarts, faults]));
        }
        Some(Call::Failure) => {
            let failure = hypervisor.next_failure(caller)?;
            let nothing = Answer::plain(Status::NotPresent);
            return Ok(failure.map_or(nothing, |record| Answer::with(told(&record))));
        }
        Some(Call::Count) => {
            let (target, number) = numbered();
            let count = hypervisor.count_of(caller, target, number)?;
            let unknown = Answer::plain(Status::InvalidParameters);
            return Ok(count.map_or(unknown, |count| Answer::with([count])));
        }
        #[cfg(feature = "trace")]
        Some(Call::Trace) => {
            let (target, number) = numbered();
            let event = hypervisor.trace_of(caller, target, number)?;
            let nothing = Answer::plain(Status::NotPresent);
            return Ok(event.map_or(nothing, |(event, record)| {
                let [first, second] = event.words();
                Answer::with([first, second, record])
            }));
        }
        #[cfg(not(feature = "trace"))]
        Some(Call::Trace) => return Ok(Answer::plain(Status::NotSupported)),
        #[cfg(feature = "tail")]
        Some(Call::Console) => {
            let (target, place) = numbered();
            let piece = hypervisor.console_of(caller, target, place)?;
            let nothing = Answer::plain(Status::NotPresent);
            return Ok(piece.map_or(nothing, |piece| Answer::with(piece.values())));
        }
        // The system file grants it to nobody.
        #[cfg(not(feature = "tail"))]
        Some(Call::Console) => return Err(Refused::Denied),
        Some(Call::Panic) => return Ok(Answer::plain(Status::Success)),
        Some(Call::Alive) => {
            vcpu.is_alive();
            return Ok(Answer::plain(Status::Success));
        }
        Some(Call::Start) => Order::Start,
        Some(Call::Stop) => Order::Stop,
        Some(Call::Restart) => Order::Restart,
        Some(Call::Suspend) => Order::Suspend,
        Some(Call::Resume) => Order::Resume,
    };
    hypervisor.control(caller, order, target()?)?;
    Ok(Answer::plain(Status::Success))
}

/// What is told of another's failure.
fn told(record: &Record) -> [u64; MOST_VALUES] {
    let who =
        u64::from(record.partition) | u64::from(record.class) << 8 | u64::from(record.vcpu) << 16;
    [who, record.ticks, record.pc, record.value, record.count]
}
