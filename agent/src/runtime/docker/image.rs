//! Images that are here, and fetching those that are not.

use bollard::Docker;
use bollard::query_parameters::{CreateImageOptions, ListImagesOptions};
use futures::StreamExt;

use super::super::{Image, ListedImage, RuntimeError};
use super::{error, reference};

/// The image of this name, or with this id.
pub async fn find(docker: &Docker, name: &str) -> Result<Option<Image>, RuntimeError> {
    if !name.starts_with("sha256:") {
        check(name)?;
    }
    match docker.inspect_image(name).await {
        Ok(found) => {
            let config = found.config.unwrap_or_default();
            let user = config.user.unwrap_or_default();
            Ok(Some(Image {
                id: found.id.unwrap_or_default(),
                size: found.size.unwrap_or(0),
                user: user.split(':').next().unwrap_or_default().to_owned(),
                stop_signal: config.stop_signal.filter(|signal| !signal.is_empty()),
            }))
        }
        Err(fault) if error::code(&fault) == Some(404) => Ok(None),
        Err(fault) => Err(error::general(fault)),
    }
}

fn check(name: &str) -> Result<reference::Reference, RuntimeError> {
    reference::parse(name).map_err(|why| RuntimeError::InvalidImage(format!("couldn't parse image name \"{name}\": {why}")))
}

/// Fetches an image. What went wrong is told in Docker's words.
pub async fn pull(docker: &Docker, name: &str) -> Result<Image, RuntimeError> {
    let asked = check(name)?;
    let options = CreateImageOptions {
        from_image: Some(asked.repository),
        tag: asked.digest.or(asked.tag), // Docker takes a digest in the tag's place
        ..CreateImageOptions::default()
    };
    let mut progress = std::pin::pin!(docker.create_image(Some(options), None, None));
    while let Some(step) = progress.next().await {
        let failed = match step {
            Ok(step) => step.error_detail.and_then(|detail| detail.message),
            Err(fault) if error::unreachable(&fault) => return Err(error::general(fault)),
            Err(fault) => Some(error::message(&fault)),
        };
        if let Some(why) = failed {
            return Err(RuntimeError::Pull(format!("Error response from daemon: {why}")));
        }
    }
    find(docker, name).await?.ok_or_else(|| RuntimeError::Pull(format!("Docker fetched {name} and does not know it")))
}

/// Every image with a name.
pub async fn list(docker: &Docker) -> Result<Vec<ListedImage>, RuntimeError> {
    let images = docker.list_images(None::<ListImagesOptions>).await.map_err(error::general)?;
    let named = images.into_iter().map(|image| {
        let names = image.repo_digests.into_iter().chain(image.repo_tags).filter(|name| !name.contains("<none>")).collect();
        ListedImage { names, size: image.size }
    });
    Ok(named.filter(|image: &ListedImage| !image.names.is_empty()).collect())
}
