//! Deployments.

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use super::meta::Meta;
use super::replicas::Template;
use super::selector::LabelSelector;

/// A Deployment.
#[derive(Clone, Debug, Deserialize)]
pub struct Deployment {
    /// Name, labels, annotations.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: DeploymentSpec,
    /// What is said to be.
    #[serde(default)]
    pub status: DeploymentStatus,
}

/// `apps/v1.DeploymentSpec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentSpec {
    /// How many pods.
    #[serde(default = "one")]
    pub replicas: i32,
    /// Whose pods.
    #[serde(default)]
    pub selector: LabelSelector,
    /// Of what.
    pub template: Template,
    /// How to get from one template to the next.
    #[serde(default)]
    pub strategy: Strategy,
    /// How long a pod must be ready to count as available.
    #[serde(default)]
    pub min_ready_seconds: i32,
    /// How many old ReplicaSets are kept; `None` and `i32::MAX`: all.
    #[serde(default)]
    pub revision_history_limit: Option<i32>,
    /// Whether nothing is rolled out.
    #[serde(default)]
    pub paused: bool,
    /// After how many seconds without progress it is said; `None` and `i32::MAX`: never.
    #[serde(default)]
    pub progress_deadline_seconds: Option<i32>,
}

/// `apps/v1.DeploymentStrategy`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Strategy {
    /// Which of the two.
    #[serde(rename = "type")]
    pub kind: StrategyKind,
    /// How far it may go.
    pub rolling_update: Option<RollingUpdate>,
}

/// `apps/v1.DeploymentStrategyType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum StrategyKind {
    /// Old pods go as new ones come.
    #[default]
    RollingUpdate,
    /// All old pods go first.
    Recreate,
}

/// `apps/v1.RollingUpdateDeployment`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdate {
    /// How many pods fewer than wanted.
    pub max_unavailable: Option<IntOrPercent>,
    /// How many pods more than wanted.
    pub max_surge: Option<IntOrPercent>,
}

/// `intstr.IntOrString`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IntOrPercent {
    /// So many.
    Int(i32),
    /// `25%`.
    Percent(String),
}

impl IntOrPercent {
    /// The number for `total`, rounded up or down: `intstr.GetScaledValueFromIntOrPercent`. What is no percentage counts as none
    /// (validation lets none in).
    pub fn of(&self, total: i32, up: bool) -> i32 {
        match self {
            Self::Int(number) => *number,
            Self::Percent(text) => {
                let percent: i64 = text.strip_suffix('%').and_then(|digits| digits.parse().ok()).unwrap_or(0);
                let scaled = i64::from(total) * percent;
                let rounded = if up { (scaled + 99).div_euclid(100) } else { scaled.div_euclid(100) };
                i32::try_from(rounded).unwrap_or(i32::MAX)
            }
        }
    }
}

/// `apps/v1.DeploymentStatus`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatus {
    /// The generation that these numbers are about.
    pub observed_generation: i64,
    /// Active pods of every ReplicaSet.
    pub replicas: i32,
    /// Active pods of the newest template.
    pub updated_replicas: i32,
    /// Ready pods.
    pub ready_replicas: i32,
    /// Pods ready for `minReadySeconds`.
    pub available_replicas: i32,
    /// Pods wanted by ReplicaSets and not available.
    pub unavailable_replicas: i32,
    /// Pods on their way out, where every ReplicaSet says.
    pub terminating_replicas: Option<i32>,
    /// `Available`, `Progressing`, `ReplicaFailure`.
    pub conditions: Vec<DeploymentCondition>,
    /// How many name collisions the template's hash has had.
    pub collision_count: Option<i32>,
}

/// `apps/v1.DeploymentCondition`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentCondition {
    /// `Available`, `Progressing`, `ReplicaFailure`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// When it was last written.
    pub last_update_time: Option<Timestamp>,
    /// When `status` last changed.
    pub last_transition_time: Option<Timestamp>,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

fn one() -> i32 {
    1
}

#[cfg(test)]
mod tests {
    use super::IntOrPercent;

    #[test]
    fn rounds_as_intstr_does() {
        let quarter = IntOrPercent::Percent("25%".to_owned());
        let cases = [(&quarter, 3, true, 1), (&quarter, 3, false, 0), (&quarter, 10, true, 3), (&quarter, 10, false, 2), (&IntOrPercent::Int(4), 1, true, 4)];
        for (value, total, up, expected) in cases {
            assert_eq!(value.of(total, up), expected, "{value:?} of {total}");
        }
    }
}
