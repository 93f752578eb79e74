//! Clients that know nothing of us: Python's, where it is installed (Debian's `python3-kubernetes`, or `pip install kubernetes`).

use std::process::Command;

use skiff_tests::{Cluster, repository, run, skip};

#[test]
fn pythons_client() {
    let installed = |python: &&str| run(Command::new("sh").args(["-c", &format!("{python} -c 'import kubernetes'")]), "").code == 0;
    let own = std::env::var("PYTHON").unwrap_or_default();
    let Some(python) = [own.as_str(), "python3", "/usr/bin/python3"].into_iter().filter(|python| !python.is_empty()).find(installed) else {
        skip("Python's client", "the module `kubernetes` is not installed");
        return;
    };
    let cluster = Cluster::up(&["--nodes", "1"]);
    let script = repository().join("tests/clients/python.py");
    let said = run(Command::new(python).arg(script).arg(cluster.dir().join("kubeconfig")), "");
    assert_eq!((said.code, said.out.as_str()), (0, "works\n"), "{}", said.err);
}
