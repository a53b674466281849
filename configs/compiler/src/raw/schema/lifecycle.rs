//! When a partition starts, and what is done when it fails.

use model::monitor::Class;

use super::{HOUR, Kind, Table, Word, maybe, optional, required, word};

pub(super) const FAULT_POLICIES: [Word; 4] = [
    word(
        "inject",
        "the guest gets the error that its architecture defines (an external abort) and goes on",
    ),
    word("stop", "the partition is stopped"),
    word("restart", "the partition is started again from its image"),
    word("stop-system", "the whole system goes to its `end` state"),
];

pub(crate) const ON_FAULT: Table = Table {
    name: "on-fault",
    header: "on_fault = { … }",
    doc: "The answer to a partition's faults, with limits.",
    fields: &[
        required(
            "policy",
            Kind::Word(&FAULT_POLICIES),
            "\"restart\"",
            "What happens.",
        ),
        maybe(
            "limit",
            Kind::Number {
                least: 1,
                most: 1_000_000,
            },
            "there is no limit",
            "3",
            "How often the partition is restarted. After that it is stopped. Only with `policy = \"restart\"`.",
        ),
        optional(
            "back_off",
            Kind::Time {
                least: 0,
                most: HOUR,
            },
            "\"0ms\"",
            "\"100ms\"",
            "How long a restart waits. Only with `policy = \"restart\"`.",
        ),
        optional(
            "then",
            Kind::Word(&AT_LIMIT),
            "\"stop\"",
            "\"stop-system\"",
            "What comes instead of one restart too many. Only with `limit`.",
        ),
    ],
};

/// Each class with its field.
pub(crate) const ON_CLASSES: [(Class, &str); Class::COUNT] = [
    (Class::IllegalAccess, "illegal_access"),
    (Class::UndefinedTrap, "undefined_trap"),
    (Class::HypercallAbuse, "hypercall_abuse"),
    (Class::IommuFault, "iommu_fault"),
    (Class::Watchdog, "watchdog"),
    (Class::GuestPanic, "guest_panic"),
    (Class::InterruptStorm, "interrupt_storm"),
    (Class::MissedBudget, "missed_budget"),
];

pub(crate) const ON: Table = Table {
    name: "on",
    header: "on = { … }",
    doc: "The answers to single classes of failures, where they are not what `on_fault` says. A restart keeps to the limit and the pause of `on_fault`.",
    fields: &[
        maybe(
            "illegal_access",
            Kind::Word(&CLASS_ANSWERS),
            "what `on_fault` says",
            "\"restart\"",
            "An access or a jump to what the partition does not own.",
        ),
        maybe(
            "undefined_trap",
            Kind::Word(&CLASS_ANSWERS),
            "`\"ignore\"`",
            "\"restart\"",
            "An instruction or a register that its CPUs do not have.",
        ),
        maybe(
            "hypercall_abuse",
            Kind::Word(&CLASS_ANSWERS),
            "`\"ignore\"`",
            "\"restart\"",
            "A call to Bulkhead that the system file does not grant it, or that does not exist.",
        ),
        maybe(
            "iommu_fault",
            Kind::Word(&CLASS_ANSWERS),
            "what `on_fault` says",
            "\"restart\"",
            "An access of one of its devices that the IOMMU refused.",
        ),
        maybe(
            "watchdog",
            Kind::Word(&CLASS_ANSWERS),
            "what `on_fault` says",
            "\"restart\"",
            "It did not say within the time of `watchdog` that it is alive.",
        ),
        maybe(
            "guest_panic",
            Kind::Word(&CLASS_ANSWERS),
            "what `on_fault` says",
            "\"restart\"",
            "Its own software says by a call that it has failed.",
        ),
        maybe(
            "interrupt_storm",
            Kind::Word(&CLASS_ANSWERS),
            "what `on_fault` says",
            "\"restart\"",
            "More interrupts than `interrupt_limit` came to it, or doorbells from it.",
        ),
        maybe(
            "missed_budget",
            Kind::Word(&CLASS_ANSWERS),
            "budgets are not watched",
            "\"ignore\"",
            "One of its virtual CPUs in a shared pool used its budget up, or a period or window passed without the time that it was promised.",
        ),
    ],
};

const CLASS_ANSWERS: [Word; 4] = [
    word(
        "ignore",
        "the guest gets the error that its architecture or the call defines, and goes on; it is counted",
    ),
    word("stop", "the partition is stopped"),
    word("restart", "the partition is started again from its image"),
    word("stop-system", "the whole system goes to its `end` state"),
];

const AT_LIMIT: [Word; 2] = [
    word("stop", "the partition is stopped"),
    word("stop-system", "the whole system goes to its `end` state"),
];

pub(crate) const START: Table = Table {
    name: "start",
    header: "start = { … }",
    doc: "When a partition starts.",
    fields: &[
        optional(
            "after",
            Kind::List(&Kind::Text("partition")),
            "[]",
            "[\"linux\"]",
            "Partitions that begin to run before this one starts the first time.",
        ),
        optional(
            "delay",
            Kind::Time {
                least: 0,
                most: HOUR,
            },
            "\"0ms\"",
            "\"100ms\"",
            "How much later it starts: than the last of those in `after`, or than the system.",
        ),
        optional(
            "automatic",
            Kind::Boolean,
            "true",
            "false",
            "Whether it starts by itself. Otherwise it waits until another partition starts it, whatever else is said here.",
        ),
    ],
};
