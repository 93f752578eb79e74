//! Which pods a `NoExecute` taint drives away, and when. See `pkg/controller/tainteviction/taint_eviction.go`.

use std::collections::BTreeMap;
use std::time::Duration;

use skiff_client::informer::Key;

use super::health::Instant;
use crate::view::Pod;
use crate::view::node::Taint;
use crate::view::pod::Toleration;

/// How long a pod may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It bears every taint.
    ForEver,
    /// It bears them for a while.
    For(Duration),
    /// It does not bear one of them.
    No,
}

/// `GetMatchingTolerations` and `getMinTolerationTime`: every taint must be borne; of the tolerations that bear one, the most
/// impatient counts.
pub fn stay(taints: &[Taint], tolerations: &[Toleration]) -> Stay {
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let Some(toleration) = tolerations.iter().find(|toleration| bears(toleration, taint)) else { return Stay::No };
        if let Some(seconds) = toleration.toleration_seconds {
            shortest = Some(shortest.map_or(seconds, |have| have.min(seconds)));
        }
    }
    match shortest {
        None => Stay::ForEver,
        Some(seconds) => Stay::For(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
    }
}

/// `Toleration.ToleratesTaint`.
pub fn bears(toleration: &Toleration, taint: &Taint) -> bool {
    let same_effect = toleration.effect.is_empty() || toleration.effect == taint.effect;
    let same_key = toleration.key.is_empty() || toleration.key == taint.key;
    same_effect
        && same_key
        && match toleration.operator.as_str() {
            "" | "Equal" => toleration.value == taint.value,
            "Exists" => true,
            _ => false,
        }
}

/// What to do about one pod now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Nothing,
    /// It was to go and may stay: say so.
    Cancelled,
    /// It goes later: look again then.
    Later(Duration),
    /// It goes now.
    Evict,
}

#[derive(Clone, Debug, PartialEq)]
struct Scheduled {
    uid: String,
    at: Instant,
    evicted: bool,
}

/// The pods that are to go.
#[derive(Clone, Debug, Default)]
pub struct Evictions {
    scheduled: BTreeMap<Key, Scheduled>,
}

impl Evictions {
    /// Decides about a pod: `taints` are the evicting ones of its node. `None`: the pod is gone.
    pub fn consider(&mut self, key: &Key, pod: Option<&Pod>, taints: &[Taint], now: Instant) -> Verdict {
        let Some(pod) = pod.filter(|pod| !pod.metadata.is_deleting()) else {
            self.scheduled.remove(key);
            return Verdict::Nothing;
        };
        if self.scheduled.get(key).is_some_and(|scheduled| scheduled.uid != pod.metadata.uid) {
            self.scheduled.remove(key);
        }
        let at = match if taints.is_empty() { Stay::ForEver } else { stay(taints, &pod.spec.tolerations) } {
            Stay::ForEver => return self.cancel(key),
            Stay::For(time) => now + time,
            Stay::No => now,
        };
        // A pod that is waiting already is not made to wait longer: its time began with its first taint.
        let scheduled = self.scheduled.entry(key.clone()).or_insert_with(|| Scheduled { uid: pod.metadata.uid.clone(), at, evicted: false });
        scheduled.at = scheduled.at.min(at);
        match (scheduled.evicted, scheduled.at.saturating_sub(now)) {
            (true, _) => Verdict::Nothing,
            (false, Duration::ZERO) => {
                scheduled.evicted = true;
                Verdict::Evict
            }
            (false, left) => Verdict::Later(left),
        }
    }

    /// The eviction did not succeed: it is to be tried again.
    pub fn failed(&mut self, key: &Key) {
        if let Some(scheduled) = self.scheduled.get_mut(key) {
            scheduled.evicted = false;
        }
    }

    fn cancel(&mut self, key: &Key) -> Verdict {
        match self.scheduled.remove(key) {
            Some(Scheduled { evicted: false, .. }) => Verdict::Cancelled,
            Some(_) | None => Verdict::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn taint(key: &str) -> Taint {
        Taint { key: key.to_owned(), effect: "NoExecute".to_owned(), ..Taint::default() }
    }

    fn pod(tolerations: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": {"tolerations": tolerations}})).unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_most_impatient_toleration_counts() {
        let cases = [
            (json!([]), Stay::No),
            (json!([{"key": "a", "operator": "Exists"}]), Stay::No),
            (json!([{"operator": "Exists"}]), Stay::ForEver),
            (json!([{"operator": "Exists", "effect": "NoSchedule"}]), Stay::No),
            (json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 60}, {"key": "b", "operator": "Exists"}]), Stay::For(seconds(60))),
            (json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 60}, {"key": "b", "tolerationSeconds": 5}]), Stay::For(seconds(5))),
            (json!([{"operator": "Exists", "tolerationSeconds": -3}]), Stay::For(seconds(0))),
        ];
        for (tolerations, expected) in cases {
            let pod = pod(tolerations.clone());
            assert_eq!(stay(&[taint("a"), taint("b")], &pod.spec.tolerations), expected, "{tolerations}");
        }
    }

    #[test]
    fn evicts_once_and_cancels() {
        let (key, mut evictions) = (Key::new("ns", "p"), Evictions::default());
        let patient = pod(json!([{"operator": "Exists", "tolerationSeconds": 60}]));
        let taints = [taint("a")];
        assert_eq!(evictions.consider(&key, Some(&patient), &taints, seconds(100)), Verdict::Later(seconds(60)));
        assert_eq!(evictions.consider(&key, Some(&patient), &taints, seconds(130)), Verdict::Later(seconds(30)));
        assert_eq!(evictions.consider(&key, Some(&patient), &[], seconds(140)), Verdict::Cancelled);
        assert_eq!(evictions.consider(&key, Some(&patient), &[], seconds(141)), Verdict::Nothing);
        assert_eq!(evictions.consider(&key, Some(&patient), &taints, seconds(150)), Verdict::Later(seconds(60)), "its time begins anew");
        assert_eq!(evictions.consider(&key, Some(&patient), &taints, seconds(210)), Verdict::Evict);
        assert_eq!(evictions.consider(&key, Some(&patient), &taints, seconds(211)), Verdict::Nothing);
        evictions.failed(&key);
        assert_eq!(evictions.consider(&key, Some(&patient), &taints, seconds(212)), Verdict::Evict);
        assert_eq!(evictions.consider(&key, None, &taints, seconds(213)), Verdict::Nothing);
        let impatient = pod(json!([]));
        assert_eq!(evictions.consider(&key, Some(&impatient), &taints, seconds(214)), Verdict::Evict);
    }
}
