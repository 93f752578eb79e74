//! Kinds whose rules are a few values and functions: what such a kind is ([`Small`]), and the small kinds of the core, scheduling and
//! node groups. Their relatives are in [`super::access`], [`super::storage`], [`super::network`], [`super::plumbing`], [`super::devices`].

use serde_json::Value;

use crate::error::FieldError;
use crate::kinds::json::{default_text, entries, flag, has, int, text};
use crate::kinds::name as names;
use crate::kinds::table::{age, columns, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// What `metadata.generation` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// There is none.
    None,
    /// It is 1 for ever.
    One,
    /// It counts the changes of everything but metadata and status.
    Counts,
}

/// A kind told by values: what differs from [`crate::kinds::Plain`].
#[derive(Clone, Copy)]
pub struct Small {
    /// Its entry in `table-columns.tsv`.
    pub columns: &'static str,
    /// A row; the second argument is the time.
    pub cells: fn(&Value, i64) -> Vec<Value>,
    /// Defaults.
    pub fill: fn(&mut Value),
    /// What is wrong with a new object.
    pub faults: fn(&Value) -> Vec<FieldError>,
    /// What is wrong with a change (new, old), besides that.
    pub changed: fn(&Value, &Value) -> Vec<FieldError>,
    /// What is wrong with a name.
    pub names: fn(&str, bool) -> Vec<String>,
    /// What the server decides of a new object.
    pub create: fn(&mut Value, &Context),
    /// What the server decides of a change (new, old).
    pub change: fn(&mut Value, &Value, &Context),
    /// Whether a `PUT` may create.
    pub create_on_update: bool,
    /// Whether an update needs no resourceVersion.
    pub unconditional: bool,
    /// See [`Generation`].
    pub generation: Generation,
    /// Fields that selectors may name.
    pub fields: &'static [&'static str],
    /// Warnings of a write.
    pub warn: fn(&Value) -> Vec<String>,
}

/// A kind without any rules.
pub const NOTHING: Small = Small {
    columns: "",
    cells: |object, _| vec![name(object), object["metadata"]["creationTimestamp"].clone()],
    fill: |_| {},
    faults: |_| Vec::new(),
    changed: |_, _| Vec::new(),
    names: names::dns_subdomain,
    create: |_, _| {},
    change: |_, _, _| {},
    create_on_update: false,
    unconditional: true,
    generation: Generation::None,
    fields: &[],
    warn: |_| Vec::new(),
};

impl Strategy for Small {
    fn default(&self, object: &mut Value) {
        (self.fill)(object);
    }
    fn prepare_for_create(&self, object: &mut Value, context: &Context) {
        (self.create)(object, context);
    }
    fn prepare_for_update(&self, object: &mut Value, old: &Value, context: &Context) {
        (self.change)(object, old, context);
    }
    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        (self.faults)(object)
    }
    fn validate_update(&self, object: &Value, old: &Value, _context: &Context) -> Vec<FieldError> {
        let mut errors = (self.changed)(object, old);
        errors.extend((self.faults)(object));
        errors
    }
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        (self.names)(name, prefix)
    }
    fn warnings(&self, object: &Value, _old: Option<&Value>, _context: &Context) -> Vec<String> {
        (self.warn)(object)
    }
    fn columns(&self) -> Vec<Column> {
        columns(self.columns)
    }
    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        (self.cells)(object, now)
    }
    fn create_on_update(&self) -> bool {
        self.create_on_update
    }
    fn unconditional_update(&self) -> bool {
        self.unconditional
    }
    fn has_generation(&self) -> bool {
        self.generation != Generation::None
    }
    fn raises_generation(&self, object: &Value, old: &Value) -> bool {
        if self.generation == Generation::One {
            return false;
        }
        let content = |of: &Value| -> Vec<(String, Value)> {
            entries(of).filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status")).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        content(object) != content(old)
    }
    fn selectable_fields(&self) -> &'static [&'static str] {
        self.fields
    }
}

/// The elements of a list to change, none if it is not there (indexing a `Value` to change it would make it be there).
pub fn each<'a>(object: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// `CoordinatedLeaderElection` is an alpha feature: its fields are dropped.
fn drop_coordinated_election(lease: &mut Value) {
    if let Some(spec) = lease.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("strategy");
        spec.remove("preferredHolder");
    }
}

/// Leases.
pub const LEASE: Small = Small {
    columns: "leases.v1.coordination.k8s.io",
    cells: |object, now| vec![name(object), text(&object["spec"]["holderIdentity"]).into(), age(object, now)],
    faults: |object| {
        let (spec, mut errors) = (&object["spec"], Vec::new());
        if has(spec, "leaseDurationSeconds") && int(&spec["leaseDurationSeconds"]) <= 0 {
            errors.push(FieldError::invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"].clone(), "must be greater than 0"));
        }
        if has(spec, "leaseTransitions") && int(&spec["leaseTransitions"]) < 0 {
            errors.push(FieldError::invalid("spec.leaseTransitions", spec["leaseTransitions"].clone(), "must be greater than or equal to 0"));
        }
        errors
    },
    create: |object, _| drop_coordinated_election(object),
    change: |object, _, _| drop_coordinated_election(object),
    create_on_update: true,
    unconditional: false,
    ..NOTHING
};

/// Priority classes.
pub const PRIORITY_CLASS: Small = Small {
    columns: "priorityclasses.v1.scheduling.k8s.io",
    cells: |object, now| {
        vec![name(object), int(&object["value"]).into(), flag(&object["globalDefault"]).into(), age(object, now), text(&object["preemptionPolicy"]).into()]
    },
    fill: |object| default_text(object, "preemptionPolicy", "PreemptLowerPriority"),
    faults: |object| {
        let named = text(&object["metadata"]["name"]);
        let value = int(&object["value"]);
        let system = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
        let mut errors = Vec::new();
        if named.starts_with("system-") {
            if !system.contains(&(named, value)) {
                let why = if system.iter().any(|(known, _)| *known == named) {
                    format!("value of {named} PriorityClass must be {}", system.iter().find(|(known, _)| *known == named).map_or(0, |(_, value)| *value))
                } else {
                    format!("{named} is not a known system priority class")
                };
                let why = format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}");
                errors.push(FieldError::forbidden("metadata.name", why));
            }
        } else if value > 1_000_000_000 {
            errors.push(FieldError::forbidden("value", "maximum allowed value of a user defined priority is 1000000000"));
        }
        let policy = text(&object["preemptionPolicy"]);
        if !policy.is_empty() && !matches!(policy, "PreemptLowerPriority" | "Never") {
            errors.push(FieldError::not_supported("preemptionPolicy", policy, &["PreemptLowerPriority", "Never"]));
        }
        errors
    },
    changed: |object, old| {
        let mut errors = Vec::new();
        if object["value"] != old["value"] {
            errors.push(FieldError::forbidden("value", "may not be changed in an update."));
        }
        if object["preemptionPolicy"] != old["preemptionPolicy"] {
            errors.push(FieldError::invalid("preemptionPolicy", object["preemptionPolicy"].clone(), "field is immutable"));
        }
        errors
    },
    generation: Generation::One,
    ..NOTHING
};

/// Service accounts.
pub const SERVICE_ACCOUNT: Small = Small { columns: "serviceaccounts", cells: |object, now| vec![name(object), age(object, now)], ..NOTHING };

/// Limit ranges.
pub const LIMIT_RANGE: Small = Small {
    columns: "limitranges",
    faults: super::limits::faults,
    create_on_update: true,
    fill: |object| {
        let Some(spec) = object.get_mut("spec") else { return };
        for limit in each(spec, "limits").filter(|limit| limit["type"] == "Container") {
            // `SetDefaults_LimitRangeItem`: a maximum is the default limit, a default limit the default request, then a minimum is.
            inherit(limit, "max", "default");
            inherit(limit, "default", "defaultRequest");
            inherit(limit, "min", "defaultRequest");
        }
    },
    ..NOTHING
};

fn inherit(limit: &mut Value, from: &str, to: &str) {
    for (key, value) in limit[from].as_object().cloned().into_iter().flatten() {
        if limit[to][&key].is_null() {
            limit[to][&key] = value;
        }
    }
}

/// Resource quotas.
pub const RESOURCE_QUOTA: Small = Small {
    columns: "resourcequotas",
    cells: |object, now| {
        let status = &object["status"];
        let shown = |limits: bool| {
            let all = entries(&status["hard"]).filter(|(key, _)| key.starts_with("limits.") == limits);
            let pairs: Vec<String> =
                all.map(|(key, hard)| format!("{key}: {}/{}", if has(&status["used"], key) { text(&status["used"][key]) } else { "0" }, text(hard))).collect();
            pairs.join(", ")
        };
        vec![name(object), shown(false).into(), shown(true).into(), age(object, now)]
    },
    faults: super::quota::faults,
    warn: super::quota::warnings,
    ..NOTHING
};

/// Runtime classes.
pub const RUNTIME_CLASS: Small = Small {
    columns: "runtimeclasses.v1.node.k8s.io",
    cells: |object, now| vec![name(object), text(&object["handler"]).into(), age(object, now)],
    faults: |object| {
        let handler = text(&object["handler"]);
        names::dns_label(handler, false).into_iter().map(|why| FieldError::invalid("handler", handler, why)).collect()
    },
    create_on_update: true,
    changed: |object, old| {
        if object["handler"] == old["handler"] { Vec::new() } else { vec![FieldError::invalid("handler", object["handler"].clone(), "field is immutable")] }
    },
    ..NOTHING
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        for one in crate::registry::resource::builtin() {
            let object = json!({"kind": one.kind, "metadata": {"name": "n", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}, "status": {}});
            let cells = one.strategy.row(&object, 0).len();
            // Kubernetes prints an age for IPAddresses without a column for it.
            let columns = one.strategy.columns().len() + usize::from(one.plural == "ipaddresses");
            assert_eq!(cells, columns, "{}", one.group_resource());
        }
    }
}
