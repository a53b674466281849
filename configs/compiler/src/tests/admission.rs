//! Systems whose time fits: where everything runs, and the argument in the report.

use super::prove_text;

fn system(pools: &str, partitions: &[(&str, &str)]) -> String {
    let mut text = format!("[system]\nname = \"time\"\nboard = \"lab\"\n{pools}\n");
    for (name, fields) in partitions {
        text.push_str(&format!(
            "[[partition]]\nname = \"{name}\"\nmemory = \"16MiB\"\nimage = \"program.elf\"\n{fields}\n"
        ));
    }
    text
}

/// The CPU of each virtual CPU, in order, and the argument of each pool.
fn proof(text: &str) -> (Vec<usize>, Vec<Vec<String>>) {
    let proof = prove_text(text).unwrap_or_else(|findings| panic!("{findings}"));
    let vcpus = proof.report.partitions.iter().flat_map(|one| &one.vcpus);
    let pools = proof.report.pools.iter().map(|pool| pool.admission.clone());
    (vcpus.map(|vcpu| vcpu.cpus[0]).collect(), pools.collect())
}

#[test]
fn dedicated_vcpus_move_so_that_each_affinity_is_kept() {
    let text = system(
        "[pools.p]\ncpus = [3, 1]\npolicy = \"dedicated\"",
        &[
            ("any", "pool = \"p\""),
            ("bound", "pool = \"p\"\naffinity = [3]"),
        ],
    );
    let (cpus, arguments) = proof(&text);
    assert_eq!(cpus, [1, 3]);
    assert_eq!(
        arguments,
        [[
            "CPU 3 runs bound/0 and nothing else",
            "CPU 1 runs any/0 and nothing else"
        ]]
    );
}

#[test]
fn budgets_fit_by_first_fit_decreasing_and_the_argument_adds_up() {
    let text = system(
        "[pools.p]\ncpus = [4, 5]\npolicy = \"rtds\"",
        &[
            ("small", "pool = \"p\"\nperiod = \"10ms\"\nbudget = \"3ms\""),
            ("large", "pool = \"p\"\nperiod = \"10ms\"\nbudget = \"8ms\""),
        ],
    );
    let (cpus, arguments) = proof(&text);
    assert_eq!(cpus, [5, 4]);
    assert_eq!(
        arguments[0],
        [
            "CPU 4: 80.0 % of its time is promised",
            "CPU 4: large/0: its 8ms and at most 0ms of the others in each 10ms, 2ms are to spare",
            "CPU 5: 30.0 % of its time is promised",
            "CPU 5: small/0: its 3ms and at most 0ms of the others in each 10ms, 7ms are to spare",
        ]
    );
}

#[test]
fn more_urgent_priority_makes_a_short_period_fit_beside_a_long_budget() {
    let text = system(
        "[pools.p]\ncpus = [0]\npolicy = \"rtds\"",
        &[
            (
                "motor",
                "pool = \"p\"\nperiod = \"1ms\"\nbudget = \"200us\"",
            ),
            (
                "logger",
                "pool = \"p\"\nperiod = \"10ms\"\nbudget = \"1ms\"\npriority = 1",
            ),
        ],
    );
    let (cpus, arguments) = proof(&text);
    assert_eq!(cpus, [0, 0]);
    assert!(
        arguments[0][2].contains("5us for switching and at most 2255us of the others in each 10ms"),
        "{arguments:?}"
    );
}

#[test]
fn switch_cost_of_the_pool_decides_whether_halves_fit() {
    let halves = |cost: &str| {
        let fields = "pool = \"p\"\nperiod = \"10ms\"\nbudget = \"4999us\"";
        let pool = format!("[pools.p]\ncpus = [0, 1]\npolicy = \"rtds\"\nswitch_cost = \"{cost}\"");
        proof(&system(&pool, &[("a", fields), ("b", fields)])).0
    };
    assert_eq!(halves("1us"), [0, 0]);
    assert_eq!(halves("2us"), [0, 1]);
}

#[test]
fn windows_go_to_cpus_on_which_they_do_not_overlap() {
    let window =
        |at: &str| format!("pool = \"p\"\nwindows = [{{ start = \"{at}\", length = \"4ms\" }}]");
    let (first, second) = (window("0ms"), window("2ms"));
    let text = system(
        "[pools.p]\ncpus = [6, 7]\npolicy = \"cyclic\"\nmajor_frame = \"8ms\"",
        &[("a", &first), ("b", &second), ("c", &window("4ms"))],
    );
    let (cpus, arguments) = proof(&text);
    assert_eq!(cpus, [6, 7, 6]);
    assert_eq!(
        arguments[0][0],
        "CPU 6, 100.0 % of each 8ms: a/0 0ms to 4ms, c/0 4ms to 8ms; no two windows overlap"
    );
}

#[test]
fn virtual_cpus_of_one_partition_run_in_different_pools() {
    let text = system(
        "[pools.own]\ncpus = [0]\npolicy = \"dedicated\"\n[pools.shared]\ncpus = [1]\npolicy = \"rtds\"",
        &[(
            "mixed",
            "period = \"2ms\"\nvcpus = [{ pool = \"own\" }, { pool = \"shared\", budget = \"1ms\" }]",
        )],
    );
    assert_eq!(proof(&text).0, [0, 1]);
}

/// The systems that `docs/time.md` shows.
fn documented() -> Vec<String> {
    let page = include_str!("../../../../docs/time.md");
    let blocks = page.split("```toml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let systems = blocks.filter(|block| block.contains("[[partition]]"));
    systems.map(|block| system(block, &[])).collect()
}

#[test]
fn systems_in_the_document_about_time_are_admitted() {
    let systems = documented();
    assert_eq!(systems.len(), 2);
    for text in systems {
        assert!(!proof(&text).1.is_empty());
    }
}

#[test]
fn documented_system_without_its_priority_is_refused() {
    let text = documented()[0].replace("priority = 1\n", "");
    let findings = prove_text(&text).unwrap_err();
    assert!(
        findings.iter().any(|one| one.code.as_str() == "BH0224"),
        "{findings}"
    );
}

#[test]
fn description_is_in_the_report() {
    let text = system(
        "description = \"Two words\"\n[pools.p]\ncpus = [0]\npolicy = \"dedicated\"",
        &[("one", "pool = \"p\"")],
    );
    let report = prove_text(&text).unwrap().report;
    assert_eq!(report.description.as_deref(), Some("Two words"));
}

#[test]
fn virtual_cpus_of_a_global_pool_run_on_all_cpus_of_their_affinity_and_their_homes_go_round() {
    let fields = "pool = \"p\"\nperiod = \"10ms\"\nbudget = \"3ms\"";
    let bound = format!("{fields}\naffinity = [5]");
    let text = system(
        "[pools.p]\ncpus = [4, 5]\npolicy = \"rtds\"\nplacement = \"global\"",
        &[("a", fields), ("b", fields), ("c", &bound)],
    );
    let proof = prove_text(&text).unwrap_or_else(|findings| panic!("{findings}"));
    let vcpus = proof.report.partitions.iter().flat_map(|one| &one.vcpus);
    let cpus: Vec<&[usize]> = vcpus.map(|vcpu| vcpu.cpus.as_slice()).collect();
    assert_eq!(cpus, [&[4, 5][..], &[5, 4], &[5]]);
    assert_eq!(
        proof.report.pools[0].admission,
        [
            "90.0 % of one CPU's time is promised on the CPUs 4, 5 together",
            "a/0 on CPUs 4, 5: its 3ms, 10us for switching and at most 3010us of the others in each 10ms, of each of them",
            "b/0 on CPUs 4, 5: its 3ms, 10us for switching and at most 3010us of the others in each 10ms, of each of them",
            "c/0 on CPU 5: its 3ms, 10us for switching and at most 6020us of the others in each 10ms, of each of them",
        ]
    );
}
