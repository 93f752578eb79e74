//! A refusal in words, as `kubectl describe` shows them: `0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.`
//! See `FitError.Error` in `pkg/scheduler/framework/types.go`.

use std::collections::BTreeMap;

use crate::cycle::Refusal;
use crate::framework::Rejection;

/// What preemption had to say about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// Others are being displaced.
    Helps,
    /// The pod may not displace others.
    NotAllowed(&'static str),
    /// Nothing that could be displaced helps.
    NoHelp(BTreeMap<String, Rejection>),
}

/// The message of the event and of the pod's condition.
pub fn refusal(refusal: &Refusal, preemption: &Preemption) -> String {
    if refusal.nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    if !refusal.all.is_empty() {
        // Nothing is looked for after a refusal of everything; the end repeats what was not found.
        let end = if refusal.all.ends_with("not found") { " not found" } else { "" };
        return format!("0/{} nodes are available: {}.{end}", refusal.nodes, refusal.all);
    }
    let after = match preemption {
        Preemption::Helps => return counted(refusal.nodes, &refusal.by_node, ""),
        Preemption::NotAllowed(why) => (*why).to_owned(),
        Preemption::NoHelp(by_node) => counted(refusal.nodes, by_node, "Preemption is not helpful for scheduling"),
    };
    format!("{} no new claims to deallocate, preemption: {after}", counted(refusal.nodes, &refusal.by_node, ""))
}

/// `0/N nodes are available: 1 reason, 2 other.`; nodes without a rejection count for `absent`.
fn counted(nodes: usize, by_node: &BTreeMap<String, Rejection>, absent: &str) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in by_node.values().flat_map(|rejection| &rejection.reasons) {
        *counts.entry(reason).or_insert(0) += 1;
    }
    if !absent.is_empty() && by_node.len() < nodes {
        *counts.entry(absent).or_insert(0) += nodes - by_node.len();
    }
    let mut told: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    told.sort();
    if told.is_empty() { format!("0/{nodes} nodes are available:") } else { format!("0/{nodes} nodes are available: {}.", told.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worded_as_kubernetes_words_it() {
        let by_node = BTreeMap::from([
            ("node-1".to_owned(), Rejection::resolvable("node(s) didn't have free ports for the requested pod ports")),
            ("node-2".to_owned(), Rejection::final_("node(s) didn't match Pod's node affinity/selector")),
        ]);
        let victims = BTreeMap::from([("node-1".to_owned(), Rejection::final_("No preemption victims found for incoming pod"))]);
        let told = refusal(&Refusal { nodes: 2, all: String::new(), by_node }, &Preemption::NoHelp(victims));
        assert_eq!(
            told,
            "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 1 node(s) didn't match Pod's node \
             affinity/selector. no new claims to deallocate, preemption: 0/2 nodes are available: 1 No preemption victims found for \
             incoming pod, 1 Preemption is not helpful for scheduling."
        );
    }

    #[test]
    fn without_nodes() {
        assert_eq!(refusal(&Refusal::default(), &Preemption::NoHelp(BTreeMap::new())), "no nodes available to schedule pods");
    }
}
