//! What the command line asks for.

use model::call::Call;

pub const USAGE: &str = "usage: bulkheadctl COMMAND
  list                 partitions over which this one has a right
  counters PARTITION   its exits by kind, its failures by class and its turns on shared CPUs
  console PARTITION [--follow]
                       the end of what it has written; with --follow what comes, too
  trace PARTITION      what led to its newest failure, event by event
  start PARTITION      a partition that has stopped or is held starts
  stop PARTITION       it stops
  restart PARTITION    it starts again from its image
  suspend PARTITION    its virtual CPUs rest
  resume PARTITION     they go on
  events [--follow]    failures of others of which this partition was not told yet; with --follow it waits for more
  alive                this partition is alive: the time of its watchdog begins anew
  panic CODE           this partition has failed
PARTITION is a name of `list`, or a place in the system file, from 0.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    List,
    Counters(&'a str),
    Trace(&'a str),
    Console { partition: &'a str, follow: bool },
    Order(Call, &'a str),
    Events { follow: bool },
    Alive,
    Panic(u64),
}

/// What is asked for; `None` when that is nothing of [`USAGE`].
pub fn read(arguments: &[String]) -> Option<Command<'_>> {
    const ORDERS: [(&str, Call); 5] = [
        ("start", Call::Start),
        ("stop", Call::Stop),
        ("restart", Call::Restart),
        ("suspend", Call::Suspend),
        ("resume", Call::Resume),
    ];
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => Some(Command::List),
        ["events"] => Some(Command::Events { follow: false }),
        ["events", "--follow"] => Some(Command::Events { follow: true }),
        ["counters", partition] => Some(Command::Counters(partition)),
        ["console", partition] => Some(Command::Console {
            partition,
            follow: false,
        }),
        ["console", partition, "--follow"] => Some(Command::Console {
            partition,
            follow: true,
        }),
        ["trace", partition] => Some(Command::Trace(partition)),
        ["alive"] => Some(Command::Alive),
        ["panic", code] => code.parse().ok().map(Command::Panic),
        [order, partition] => {
            let mut orders = ORDERS.into_iter();
            let (_, call) = orders.find(|(word, _)| *word == order)?;
            Some(Command::Order(call, partition))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(text: &str, into: &'a mut Vec<String>) -> Option<Command<'a>> {
        *into = text.split_whitespace().map(str::to_owned).collect();
        read(into)
    }

    #[test]
    fn commands_of_the_usage_are_read() {
        let mut words = Vec::new();
        let console = |follow| Command::Console {
            partition: "rt",
            follow,
        };
        for (text, expected) in [
            ("list", Command::List),
            ("restart rt", Command::Order(Call::Restart, "rt")),
            ("suspend 3", Command::Order(Call::Suspend, "3")),
            ("counters rt", Command::Counters("rt")),
            ("trace rt", Command::Trace("rt")),
            ("console rt", console(false)),
            ("console rt --follow", console(true)),
            ("events", Command::Events { follow: false }),
            ("events --follow", Command::Events { follow: true }),
            ("panic 7", Command::Panic(7)),
            ("alive", Command::Alive),
        ] {
            assert_eq!(of(text, &mut words), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let mut words = Vec::new();
        for text in [
            "",
            "lists",
            "start",
            "start a b",
            "state rt",
            "panic x",
            "events -f",
            "list x",
            "counters",
            "console",
            "console --follow rt",
        ] {
            assert_eq!(of(text, &mut words), None, "{text}");
        }
    }
}
