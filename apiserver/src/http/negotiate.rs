//! Which shape an answer takes, read off `Accept`, `pretty` and the user agent. Pure.
//!
//! Kubernetes decides twice, and so do we: its router looks at the media types alone (`go-restful`'s `matchesAccept`), then
//! `apiserver/pkg/endpoints/handlers/negotiation/negotiate.go` picks the first clause whose parameters can be served.

use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};
use skiff_proto::status::{Details, Status};

use super::query::Query;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`
    Json {
        /// Broken into lines.
        pretty: bool,
    },
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

impl Encoding {
    /// The answer's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json { .. } => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// The version of `meta.k8s.io` that a transformed answer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaVersion {
    /// `meta.k8s.io/v1`
    V1,
    /// `meta.k8s.io/v1beta1`
    V1beta1,
}

impl MetaVersion {
    /// `meta.k8s.io/v1`
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What an object is turned into before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It stays what it is.
    Object,
    /// `Table`: what `kubectl get` prints.
    Table(MetaVersion),
    /// `PartialObjectMetadata`
    Partial(MetaVersion),
    /// `PartialObjectMetadataList`
    PartialList(MetaVersion),
}

/// The outcome of negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How it is written.
    pub encoding: Encoding,
    /// What is written.
    pub shape: Shape,
}

impl Wanted {
    /// JSON, one line, untransformed.
    pub const PLAIN: Self = Self { encoding: Encoding::Json { pretty: false }, shape: Shape::Object };
}

const MEDIA_TYPES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const JSON_ONLY: [&str; 1] = ["application/json"];

/// Negotiates the answer of a resource.
pub fn resource(headers: &HeaderMap, query: &Query) -> Result<Wanted, Status> {
    negotiate(headers, query, &MEDIA_TYPES, read_shape)
}

/// Negotiates a document that exists in every encoding but is never transformed: discovery of one group or version.
pub fn document(headers: &HeaderMap, query: &Query) -> Result<Wanted, Status> {
    negotiate(headers, query, &MEDIA_TYPES, |clause| (clause.g.is_empty() && clause.v.is_empty() && clause.kind.is_empty()).then_some(Shape::Object))
}

/// Negotiates a document that is JSON and nothing else: `/version`.
pub fn json_only(headers: &HeaderMap, query: &Query) -> Result<Wanted, Status> {
    negotiate(headers, query, &JSON_ONLY, |_| Some(Shape::Object))
}

/// The document that lists groups: plain, or aggregated in this version of `apidiscovery.k8s.io`.
pub fn discovery(headers: &HeaderMap, query: &Query) -> Result<(Wanted, Option<&'static str>), Status> {
    let mut aggregated = None;
    let wanted = negotiate(headers, query, &MEDIA_TYPES, |clause| {
        if clause.g.is_empty() && clause.v.is_empty() && clause.kind.is_empty() {
            return Some(Shape::Object);
        }
        let version = ["v2", "v2beta1"].into_iter().find(|known| clause.v == *known)?;
        let known = clause.g == "apidiscovery.k8s.io" && clause.kind == "APIGroupDiscoveryList" && clause.subtype != "yaml";
        known.then(|| {
            aggregated = Some(version);
            Shape::Object
        })
    })?;
    Ok((wanted, aggregated))
}

fn negotiate<'a>(headers: &'a HeaderMap, query: &Query, offered: &[&str], mut shape: impl FnMut(&Clause<'a>) -> Option<Shape>) -> Result<Wanted, Status> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let pretty = is_pretty(headers, query);
    if accept.is_empty() || accept == "*/*" || accept == "application/json" {
        return Ok(Wanted { encoding: Encoding::Json { pretty }, shape: Shape::Object });
    }
    if !offers_any(accept, offered) {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {}", offered.join(", "));
        return Err(Status { details: Some(Details::default()), ..Status::failure(406, "NotAcceptable", message) });
    }
    let mut clauses = Clause::parse_all(accept);
    clauses.sort_by(|a, b| b.rank().partial_cmp(&a.rank()).unwrap_or(std::cmp::Ordering::Equal));
    let mut protobuf = None;
    for clause in &clauses {
        let Some(media) = offered.iter().find(|media| clause.matches(media)) else { continue };
        let Some(shape) = shape(clause) else { continue };
        if !matches!(clause.stream, "" | "watch") {
            continue;
        }
        let encoding = match *media {
            "application/json" => Encoding::Json { pretty: pretty || clause.pretty },
            "application/yaml" => Encoding::Yaml,
            // a client that takes JSON too gets what is stored, as it is: the list is one of preference, not of need
            _ => {
                protobuf.get_or_insert(Wanted { encoding: Encoding::Protobuf, shape });
                continue;
            }
        };
        return Ok(Wanted { encoding, shape });
    }
    protobuf.ok_or_else(|| {
        let message = format!("only the following media types are accepted: {}", MEDIA_TYPES.join(", "));
        Status::failure(406, "NotAcceptable", message)
    })
}

/// `Table`, `PartialObjectMetadata` and their list, of `meta.k8s.io`; protobuf has no tables.
fn read_shape(clause: &Clause<'_>) -> Option<Shape> {
    if clause.g.is_empty() && clause.v.is_empty() && clause.kind.is_empty() {
        return Some(Shape::Object);
    }
    let version = match (clause.g, clause.v) {
        ("meta.k8s.io", "v1") => MetaVersion::V1,
        ("meta.k8s.io", "v1beta1") => MetaVersion::V1beta1,
        _ => return None,
    };
    match clause.kind {
        "Table" => (clause.subtype != "vnd.kubernetes.protobuf").then_some(Shape::Table(version)),
        "PartialObjectMetadata" => Some(Shape::Partial(version)),
        "PartialObjectMetadataList" => Some(Shape::PartialList(version)),
        _ => None,
    }
}

/// The router's look at `Accept`: types only, no ranges but `*/*`.
fn offers_any(accept: &str, offered: &[&str]) -> bool {
    accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim()).any(|media| media == "*/*" || offered.contains(&media))
}

/// `pretty=`, or a person's program.
fn is_pretty(headers: &HeaderMap, query: &Query) -> bool {
    if let Some(asked) = query.get("pretty").filter(|asked| !asked.is_empty()) {
        return matches!(asked, "1" | "t" | "T" | "true" | "TRUE" | "True");
    }
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|known| agent.starts_with(known))
}

/// One clause of an `Accept` header, as `goautoneg.ParseAccept` reads it.
#[derive(Debug, PartialEq)]
struct Clause<'a> {
    main: &'a str,
    subtype: &'a str,
    q: f32,
    kind: &'a str,
    g: &'a str,
    v: &'a str,
    stream: &'a str,
    pretty: bool,
}

impl<'a> Clause<'a> {
    fn parse_all(accept: &'a str) -> Vec<Self> {
        accept.split(',').filter_map(|part| Self::parse(part.trim_matches(' '))).collect()
    }

    fn parse(part: &'a str) -> Option<Self> {
        let mut pieces = part.split(';');
        let media = pieces.next()?;
        let (main, subtype) = match media.split_once('/') {
            Some((main, subtype)) if !subtype.contains('/') => (main.trim_matches(' '), subtype.trim_matches(' ')),
            None if media.trim_matches(' ') == "*" => ("*", "*"),
            Some(_) | None => return None,
        };
        let mut clause = Self { main, subtype, q: 1.0, kind: "", g: "", v: "", stream: "", pretty: false };
        for piece in pieces {
            let Some((name, value)) = piece.split_once('=') else { continue };
            let value = value.trim_matches(' ');
            match name.trim_matches(' ') {
                "q" => clause.q = value.parse().unwrap_or(0.0), // as goautoneg does
                "as" => clause.kind = value,
                "g" => clause.g = value,
                "v" => clause.v = value,
                "stream" => clause.stream = value,
                "pretty" => clause.pretty = value == "1",
                _ => {} // `charset`, `profile` …: no effect
            }
        }
        Some(clause)
    }

    /// Higher is tried first: quality, then how specific the type is.
    fn rank(&self) -> (f32, bool, bool) {
        (self.q, self.main != "*", self.subtype != "*")
    }

    fn matches(&self, media: &str) -> bool {
        let (main, subtype) = media.split_once('/').unwrap_or((media, ""));
        (self.main == main && (self.subtype == subtype || self.subtype == "*")) || (self.main == "*" && self.subtype == "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        headers
    }

    #[test]
    fn picks_what_kubernetes_picks() {
        let json = Encoding::Json { pretty: false };
        let table = |accept: &str| resource(&headers(accept), &Query::default()).map(|wanted| (wanted.encoding, wanted.shape)).map_err(|status| status.message);
        let cases = [
            ("application/json", Ok((json, Shape::Object))),
            ("*/*", Ok((json, Shape::Object))),
            ("application/json, */*", Ok((json, Shape::Object))),
            ("application/yaml", Ok((Encoding::Yaml, Shape::Object))),
            ("application/yaml;q=0.5, application/json", Ok((json, Shape::Object))),
            ("application/vnd.kubernetes.protobuf,application/json", Ok((json, Shape::Object))),
            ("application/vnd.kubernetes.protobuf", Ok((Encoding::Protobuf, Shape::Object))),
            ("application/json;stream=watch", Ok((json, Shape::Object))),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Ok((json, Shape::Table(MetaVersion::V1))),
            ),
            ("application/json;as=Table;v=v7;g=meta.k8s.io,application/json", Ok((json, Shape::Object))),
            ("application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io", Ok((json, Shape::Partial(MetaVersion::V1beta1)))),
            ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Ok((json, Shape::PartialList(MetaVersion::V1)))),
        ];
        for (accept, expected) in cases {
            assert_eq!(table(accept), expected, "{accept}");
        }
        let only = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
        for accept in
            ["application/json;as=Table;v=v2;g=meta.k8s.io", "application/json;as=Nonsense;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v1;g=other"]
        {
            assert_eq!(table(accept), Err(only.to_owned()), "{accept}");
        }
        let none = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf";
        assert_eq!(table("text/html"), Err(none.to_owned()));
        assert!(json_only(&headers("application/yaml"), &Query::default()).is_err());
    }

    #[test]
    fn aggregated_discovery_falls_back() {
        let pick = |accept: &str| discovery(&headers(accept), &Query::default()).map(|(_, version)| version).map_err(|status| status.code);
        assert_eq!(pick("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"), Ok(Some("v2")));
        assert_eq!(pick("application/json;v=v2beta1;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,application/json"), Ok(Some("v2beta1")));
        assert_eq!(pick("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json"), Ok(None));
        assert_eq!(pick("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList"), Err(406));
        assert_eq!(pick("application/json"), Ok(None));
    }

    #[test]
    fn people_get_lines() {
        let mut curl = HeaderMap::new();
        curl.insert(USER_AGENT, "curl/8.5".parse().unwrap());
        assert_eq!(resource(&curl, &Query::default()).unwrap().encoding, Encoding::Json { pretty: true });
        assert_eq!(resource(&curl, &Query::parse("pretty=0")).unwrap().encoding, Encoding::Json { pretty: false });
    }
}
