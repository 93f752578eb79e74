//! One run of a probe: a command, an HTTP request, a TCP connection or a gRPC health check (`pkg/probe`).

use super::Settings;
use crate::net;
use crate::runtime::RuntimeError;
use crate::shared::Shared;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is well.
    Success,
    /// It is not: what the event says after `probe failed: `.
    Failure(String),
    /// It could not be found out: what the event says. Counts as nothing.
    Unknown(String),
}

/// Output of a command kept for the event (`maxReadLength` of `pkg/probe/exec`).
const OUTPUT: usize = 10 * 1024;

/// Runs the probe once.
pub async fn run(shared: &Shared, pod: &Pod, container: &Container, id: &str, probe: &Probe, settings: &Settings) -> Outcome {
    if let Some(exec) = &probe.exec {
        return command(shared, id, exec.command.as_deref().unwrap_or_default(), settings).await;
    }
    if !shared.config.runtime.has_network() {
        return Outcome::Success; // pretended containers answer as if they were well
    }
    let Some(ip) = shared.reachable(pod).map(|ip| ip.to_string()) else { return Outcome::Unknown("the pod has no address".into()) };
    if let Some(action) = &probe.http_get {
        let target = match net::Target::of_get(action, container, &ip) {
            Ok(target) => target,
            Err(message) => return Outcome::Unknown(message),
        };
        return match net::get(&shared.http, &target, settings.timeout).await {
            Ok((code, _)) if (200..400).contains(&code) => Outcome::Success,
            Ok((code, _)) => Outcome::Failure(format!("HTTP probe failed with statuscode: {code}")),
            Err(message) => Outcome::Failure(message),
        };
    }
    if let Some(action) = &probe.tcp_socket {
        let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&ip);
        return match net::port(&action.port, container) {
            Err(message) => Outcome::Unknown(message),
            Ok(port) => net::connect(host, port, settings.timeout).await.map_or_else(Outcome::Failure, |()| Outcome::Success),
        };
    }
    if let Some(action) = &probe.grpc {
        return grpc(&ip, action.port, action.service.as_deref().unwrap_or_default(), settings).await;
    }
    Outcome::Unknown(format!("missing probe handler for {}:{}", crate::pod::id(pod).name, container.name))
}

async fn command(shared: &Shared, id: &str, command: &[String], settings: &Settings) -> Outcome {
    match shared.config.runtime.exec(id, command, settings.timeout, OUTPUT).await {
        Ok(result) if result.code == 0 => Outcome::Success,
        Ok(result) => Outcome::Failure(String::from_utf8_lossy(&result.output).into_owned()),
        Err(RuntimeError::Timeout(_)) => {
            Outcome::Failure(format!("command timed out: {:?} timed out after {}s", command.join(" "), settings.timeout.as_secs()))
        }
        Err(RuntimeError::StartFailed(message)) => Outcome::Failure(message),
        Err(error) => Outcome::Unknown(format!("rpc error: {error}")),
    }
}

/// `grpc.health.v1.HealthCheckRequest`
#[derive(Clone, PartialEq, prost::Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`
#[derive(Clone, PartialEq, prost::Message)]
struct HealthResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

async fn grpc(ip: &str, port: i32, service: &str, settings: &Settings) -> Outcome {
    let limit = settings.timeout;
    match tokio::time::timeout(limit, health(ip, port, service)).await {
        Ok(Ok(1)) => Outcome::Success,
        Ok(Ok(status)) => {
            let name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"].get(usize::try_from(status).unwrap_or(0)).copied().unwrap_or("UNKNOWN");
            Outcome::Failure(format!("service unhealthy (responded with \"{name}\")"))
        }
        Ok(Err(message)) => Outcome::Failure(message),
        Err(_) => Outcome::Failure(format!("timeout: health rpc did not complete within {}s", limit.as_secs())),
    }
}

async fn health(ip: &str, port: i32, service: &str) -> Result<i32, String> {
    let address = format!("http://{ip}:{port}");
    let endpoint = tonic::transport::Endpoint::from_shared(address.clone()).map_err(|error| error.to_string())?;
    let refused = |error: tonic::transport::Error| format!("failed to connect service \"{ip}:{port}\": {error}");
    let mut client = tonic::client::Grpc::new(endpoint.connect().await.map_err(refused)?);
    client.ready().await.map_err(refused)?;
    let codec = tonic_prost::ProstCodec::<HealthRequest, HealthResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let request = tonic::Request::new(HealthRequest { service: service.to_owned() });
    match client.unary(request, path, codec).await {
        Ok(response) => Ok(response.into_inner().status),
        Err(status) if status.code() == tonic::Code::Unimplemented => {
            Err("this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned())
        }
        Err(status) => Err(format!("health rpc probe failed: {}", status.message())),
    }
}
