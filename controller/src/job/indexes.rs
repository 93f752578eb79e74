//! Sets of completion indexes, as a Job's status writes them: `0-2,4`.

use std::collections::BTreeSet;

use crate::view::Pod;

/// The annotation and label in which a pod carries its index.
pub const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Reads a set; what is no interval is left out.
pub fn parse(text: &str) -> BTreeSet<i32> {
    let interval = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<i32>().ok()?..=last.parse::<i32>().ok()?)
    };
    text.split(',').filter_map(interval).flatten().collect()
}

/// Writes a set; two neighbours are written `1,2`, more of them `1-3`.
pub fn format(indexes: &BTreeSet<i32>) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for index in indexes {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            Some(_) | None => runs.push((*index, *index)),
        }
    }
    let write = |(first, last): &(i32, i32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(write).collect::<Vec<_>>().join(",")
}

/// The index of a pod.
pub fn of(pod: &Pod) -> Option<i32> {
    pod.metadata.annotations.get(INDEX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_as_kubernetes_does() {
        for text in ["", "0", "0,1", "0-2", "0-2,4", "1,3-5,7,8"] {
            assert_eq!(format(&parse(text)), text);
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(indexes in prop::collection::btree_set(0i32..40, 0..30)) {
            prop_assert_eq!(parse(&format(&indexes)), indexes);
        }
    }
}
