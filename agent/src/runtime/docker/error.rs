//! What Docker's refusals mean to the agent.

use bollard::errors::Error;

use super::super::RuntimeError;

/// The sentence Docker said, or what happened to the connection.
pub fn message(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        other => other.to_string(),
    }
}

/// The HTTP status Docker answered with, where it did.
pub fn code(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// For any call: gone, out of reach, or refused.
pub fn general(error: Error) -> RuntimeError {
    match &error {
        Error::DockerResponseServerError { status_code: 404, .. } => RuntimeError::NotFound(message(&error)),
        Error::RequestTimeoutError => RuntimeError::Timeout("Docker did not answer in time".to_owned()),
        _ if unreachable(&error) => RuntimeError::Unavailable(format!("cannot reach Docker: {error}")),
        _ => RuntimeError::Failed(message(&error)),
    }
}

/// For `create`, where being refused is about the spec.
pub fn create(error: Error) -> RuntimeError {
    match general(error) {
        RuntimeError::NotFound(message) | RuntimeError::Failed(message) => RuntimeError::CreateFailed(format!("Error response from daemon: {message}")),
        other => other,
    }
}

/// For `start`, where being refused is about the command.
pub fn start(error: Error) -> RuntimeError {
    match &error {
        Error::DockerResponseServerError { status_code: 404, message } if message.starts_with("No such container") => RuntimeError::NotFound(message.clone()),
        Error::DockerResponseServerError { .. } => RuntimeError::StartFailed(message(&error)),
        _ => general(error),
    }
}

/// Whether the connection is at fault and not the request.
pub fn unreachable(error: &Error) -> bool {
    matches!(error, Error::IOError { .. } | Error::HyperResponseError { .. } | Error::HyperLegacyError { .. } | Error::SocketNotFoundError(_))
}

/// `Ok` where what was to go has gone already.
pub fn gone_is_fine(result: Result<(), Error>) -> Result<(), RuntimeError> {
    match result {
        Ok(()) => Ok(()),
        // 304: stopped already. 404: not there. 409: being removed by somebody else just now.
        Err(error) if matches!(code(&error), Some(304 | 404 | 409)) => Ok(()),
        Err(error) => Err(general(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn refusals() {
        assert_eq!(general(said(404, "No such container: x")), RuntimeError::NotFound("No such container: x".into()));
        assert_eq!(start(said(404, "No such container: x")), RuntimeError::NotFound("No such container: x".into()));
        // Docker answers 404 for a container whose command is not found, too.
        assert_eq!(start(said(404, "OCI runtime create failed: no such file")), RuntimeError::StartFailed("OCI runtime create failed: no such file".into()));
        assert_eq!(create(said(400, "no command specified")), RuntimeError::CreateFailed("Error response from daemon: no command specified".into()));
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(matches!(general(Error::IOError { err: refused }), RuntimeError::Unavailable(_)));
        assert_eq!(gone_is_fine(Err(said(404, "No such container: x"))), Ok(()));
    }
}
