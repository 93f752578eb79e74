//! The store's disk is full: writes are refused and told so, what was acknowledged stays readable and stays, and nothing spins.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use skiff_tests::{Cluster, eventually, run, skip};

const SOON: Duration = Duration::from_secs(60);
/// Of the disk: enough for what is written here to be written twice.
const SIZE: &str = "32m";

/// A small disk where the cluster's store will be. False: such a thing may not be made here; that has been told.
fn small_disk(cluster: &Cluster) -> bool {
    let place = cluster.dir().join("store");
    std::fs::create_dir_all(&place).unwrap();
    let mounted = run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"]).arg(&place), "");
    if mounted.code != 0 {
        skip("the store's disk is full", &format!("mounting a small disk is not permitted: {}", mounted.err.trim()));
    }
    mounted.code == 0 // `down --purge` unmounts it
}

/// A file that takes all the room there is.
fn fill(path: &PathBuf) {
    let mut file = File::create(path).unwrap();
    for chunk in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; chunk]).is_ok() {}
    }
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    let cluster = Cluster::prepare();
    if !small_disk(&cluster) {
        return;
    }
    cluster.start(&["--runtime", "sim", "--nodes", "0"]).ok();
    let text = "x".repeat(20_000);
    let write = |name: &str| cluster.kubectl(&["create", "configmap", name, "--from-literal", &format!("text={text}")]);
    let mut acknowledged: Vec<String> = (0..20).map(|number| format!("before-{number}")).collect();
    acknowledged.iter().for_each(|name| drop(write(name).ok()));
    let missing = |names: &[String]| {
        let there = cluster.get("configmaps", "{.items[*].metadata.name}");
        names.iter().filter(|name| !there.split(' ').any(|one| one == *name)).cloned().collect::<Vec<_>>()
    };
    let readyz = || cluster.kubectl(&["get", "--raw", "/readyz"]);

    let filler = cluster.dir().join("store/filler");
    fill(&filler);
    // Where the database has room left in what it owns already, some writes still succeed: they must stay, too.
    let refused = (0..2000).find_map(|number| {
        let name = format!("full-{number}");
        let said = write(&name);
        if said.code == 0 {
            acknowledged.push(name);
        }
        (said.code != 0).then_some(said.err)
    });
    let refused = refused.expect("a write that is refused");
    assert!(refused.contains("the store refuses writes") && refused.contains("No space left on device"), "{refused}");
    let told = readyz().failed();
    assert!(told.contains("[-]etcd failed") || told.contains("readyz check failed"), "{told}");
    let before = cluster.cpu_ticks("apiserver");
    std::thread::sleep(Duration::from_secs(3));
    let used = cluster.cpu_ticks("apiserver") - before;
    assert!(used < 150, "an idle server with a full disk used {used} hundredths of a second of CPU time in 3 s");
    assert_eq!(missing(&acknowledged), [] as [String; 0], "reads go on");
    let again = write("still-full").failed();
    assert!(again.contains("the store refuses writes"), "{again}");

    std::fs::remove_file(&filler).unwrap();
    eventually(SOON, || if readyz().code == 0 { Ok(()) } else { Err(readyz().err) });
    write("after").ok();
    acknowledged.push("after".to_owned());
    assert_eq!(missing(&acknowledged), [] as [String; 0]);
    cluster.kill("apiserver");
    cluster.start(&[]).ok();
    assert_eq!(missing(&acknowledged), [] as [String; 0], "after a restart");

    // Full when it starts, it says so and ends, or serves what it has; it loses nothing.
    fill(&filler);
    cluster.kill("apiserver");
    let started = cluster.start(&[]);
    if started.code == 0 {
        assert_eq!(missing(&acknowledged), [] as [String; 0]);
    } else {
        assert!(started.err.contains("No space left on device"), "{}", started.err);
    }
    std::fs::remove_file(&filler).unwrap();
    cluster.start(&[]).ok();
    assert_eq!(missing(&acknowledged), [] as [String; 0], "after a start on a full disk");
    eventually(SOON, || if write("last").code == 0 { Ok(()) } else { Err("refused".to_owned()) });
}
