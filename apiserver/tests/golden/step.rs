//! A scenario as it is written: `tests/golden/README.md` says what each key means. A key that is not known is refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// One sentence, for people.
    #[allow(dead_code)]
    pub about: String,
    /// In order.
    pub steps: Vec<Step>,
}

/// One request and what is expected of its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Step {
    /// `METHOD /path?query`
    pub r#do: String,
    /// A document, sent as it is written: the order of its keys shows in some messages.
    pub body: Option<Box<RawValue>>,
    /// Or a text.
    pub text: Option<String>,
    /// `null` leaves one out.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// `anonymous` or nobody else.
    pub r#as: Option<Anonymous>,
    /// A long value in the body.
    pub pad: Option<Pad>,
    /// Name → path in the answer.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// `PATH OP VALUE`
    #[serde(default)]
    pub check: Vec<String>,
    /// Repeated until these hold.
    #[serde(default)]
    pub until: Vec<String>,
    /// Seconds to wait first.
    pub sleep: Option<f64>,
    /// Read as a stream of events.
    pub watch: Option<Watch>,
    /// Only these paths are compared.
    pub compare: Option<Vec<String>>,
    /// Paths that are left out.
    #[serde(default)]
    pub drop: Vec<String>,
    /// List → the key that it is put in order by.
    #[serde(default)]
    pub sort: BTreeMap<String, String>,
    /// List or map → (key, pattern) of what is left out.
    #[serde(default)]
    pub without: BTreeMap<String, (String, String)>,
    /// Path → pattern of values that are not compared.
    #[serde(default)]
    pub mask: BTreeMap<String, String>,
    /// Whether managedFields are compared.
    #[serde(default)]
    pub managed_fields: bool,
    /// Headers that are not compared.
    #[serde(default)]
    pub ignore_headers: Vec<String>,
    /// What the real server said.
    pub expect: Expect,
}

/// Who does not show a certificate.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// Nobody known.
    Anonymous,
}

/// A value too long to write down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Where it goes.
    pub path: String,
    /// How many `x` it has.
    pub bytes: usize,
}

/// How a watch is read.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// This many events …
    pub events: usize,
    /// … or until this time is over.
    pub seconds: f64,
    /// The next steps run meanwhile.
    #[serde(default)]
    pub background: bool,
    /// Whether the end of the stream counts as an event.
    #[serde(default)]
    pub end: bool,
}

/// An answer, after normalization.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// HTTP status.
    pub status: u16,
    /// Those that are compared.
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
    /// The document, the events, or the compared paths.
    #[serde(default)]
    pub body: Value,
}
