//! Amounts of resources as plain integers: thousandths of a CPU, bytes, pieces.

use std::collections::BTreeMap;

use skiff_proto::rules::requests::Amounts;

/// Asked for, used or there to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
    /// Everything else by name, in whole units.
    pub others: BTreeMap<String, i64>,
}

impl Resources {
    /// From amounts by name; `pods` is counted elsewhere.
    pub fn of(amounts: &Amounts) -> Self {
        let mut made = Self::default();
        for (name, quantity) in amounts {
            match name.as_str() {
                "cpu" => made.milli_cpu = quantity.millis(),
                "memory" => made.memory = quantity.units(),
                "ephemeral-storage" => made.ephemeral_storage = quantity.units(),
                "pods" => {}
                other => {
                    made.others.insert(other.to_owned(), quantity.units());
                }
            }
        }
        made
    }

    /// Adds (`sign` 1) or takes away (`sign` -1).
    pub fn change(&mut self, other: &Self, sign: i64) {
        self.milli_cpu += sign * other.milli_cpu;
        self.memory += sign * other.memory;
        self.ephemeral_storage += sign * other.ephemeral_storage;
        for (name, amount) in &other.others {
            *self.others.entry(name.clone()).or_insert(0) += sign * amount;
        }
    }
}
