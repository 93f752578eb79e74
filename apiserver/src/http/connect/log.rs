//! `kubectl logs`: the agent's chunks as they come, as text or as messages of a WebSocket.

use axum::extract::ws::{Message, WebSocket};
use futures::StreamExt;
use http::Response;
use http::request::Parts;
use skiff_proto::status::Status;
use skiff_proto::v1;
use tonic::Streaming;

use super::nodes::refusal;
use super::target::{Pod, log_request};
use super::websocket;
use crate::http::body::Body;
use crate::http::query::Query;
use crate::http::respond::reply;
use crate::http::{Edge, now};

const PROTOCOLS: [&str; 2] = ["binary.k8s.io", "base64.binary.k8s.io"];

/// Answers with the log.
pub async fn answer(edge: &Edge, pod: &Pod, query: &Query, parts: &mut Parts) -> Result<Response<Body>, Status> {
    let request = log_request(pod, query, now())?;
    if pod.node.is_empty() {
        let mut answer = Response::new(Body::Empty); // nothing has run yet
        *answer.status_mut() = http::StatusCode::NO_CONTENT;
        return Ok(answer);
    }
    let mut node = edge.nodes.client(&edge.server, &pod.node).await?;
    let chunks = node.logs(request).await.map_err(|told| refusal(&pod.name, told))?.into_inner();
    if websocket::is_asked(parts) {
        let upgrade = websocket::upgrade(parts, &PROTOCOLS)?;
        let is_base64 = upgrade.protocol.starts_with("base64");
        return Ok(upgrade.start(move |socket| send(socket, chunks, is_base64)));
    }
    let stream = chunks.map(|chunk| chunk.map(|chunk| chunk.data).map_err(Into::into));
    Ok(reply(200, "text/plain", Body::Stream(stream.boxed())))
}

async fn send(mut socket: WebSocket, mut chunks: Streaming<v1::Chunk>, is_base64: bool) {
    loop {
        let message = tokio::select! {
            chunk = chunks.next() => match chunk {
                Some(Ok(chunk)) if is_base64 => Message::text(websocket::to_base64(&chunk.data)),
                Some(Ok(chunk)) => Message::binary(chunk.data),
                Some(Err(_)) | None => break,
            },
            heard = socket.recv() => match heard {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
    websocket::close(socket).await;
}
