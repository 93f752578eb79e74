//! `ImageLocality`: better where the pod's images are already, the more so the larger they are and the more nodes have them.

use crate::cache::NodeInfo;
use crate::framework::{MAX_SCORE, Score, ScoreContext};
use crate::view::PodView;

const MB: i64 = 1024 * 1024;
const LEAST: i64 = 23 * MB;
const MOST_A_CONTAINER: i64 = 1000 * MB;

/// See the module.
pub struct ImageLocality;

impl Score for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn applies(&self, _pod: &PodView, _context: &ScoreContext<'_>) -> bool {
        true
    }

    fn score(&self, pod: &PodView, node: &NodeInfo, context: &ScoreContext<'_>) -> i64 {
        let nodes = i64::try_from(context.cache.nodes().len()).unwrap_or(1).max(1);
        let here = |image: &String| {
            let name = normalized(image);
            let size = node.view.images.get(&name)?;
            Some(size * context.cache.nodes_with_image(&name) / nodes)
        };
        let sum: i64 = pod.images.iter().filter_map(here).sum();
        let most = MOST_A_CONTAINER * i64::try_from(pod.images.len()).unwrap_or(1).max(1);
        MAX_SCORE * (sum.clamp(LEAST, most) - LEAST) / (most - LEAST)
    }
}

/// `nginx` is listed on nodes as `nginx:latest`.
fn normalized(image: &str) -> String {
    let has_tag = image.rfind(':').is_some_and(|colon| image.rfind('/').is_none_or(|slash| colon > slash));
    if has_tag { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn a_port_is_no_tag() {
        for (image, name) in
            [("nginx", "nginx:latest"), ("host:5000/x", "host:5000/x:latest"), ("host:5000/x:1", "host:5000/x:1"), ("x@sha256:00", "x@sha256:00")]
        {
            assert_eq!(normalized(image), name);
        }
    }
}
