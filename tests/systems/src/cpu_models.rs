//! One image runs on every supported CPU model; the matrix in [`linux`](crate::linux) has the others.

use crate::linux::{CLOUD, wait_for_shell};
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for cpu in ["cortex-a72", "neoverse-n1"] {
        for gic in ["gicv2", "gicv3"] {
            let system = SystemFile::new("linux-cloud-2", &format!("qemu-virt-{gic}"))
                .linux("linux", CLOUD, 2);
            let test = Test::new(
                format!("cpu/{cpu}/{gic}"),
                &["cpu", "linux"],
                move |bench| {
                    let mut session =
                        bench.start_with(&system, |options| options.cpu = Some(cpu.to_owned()))?;
                    wait_for_shell(&mut session, "linux", 2, bench)
                },
            );
            tests.push(test.needs(Need::Kernel(CLOUD)));
        }
    }
    tests
}
