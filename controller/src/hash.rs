//! The hash of a pod template: it names a Deployment's ReplicaSets and labels their pods.
//!
//! Kubernetes hashes Go's printed struct; any stable hash serves, because nobody but the controller computes it. Ours is FNV-1a over the
//! template's canonical JSON (keys sorted, no spaces), and the collision count if there is one.

use serde_json::Value;

/// Letters and digits that spell no words: `apimachinery/pkg/util/rand`.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// `controller.ComputeHash`: a name-safe hash of a template.
pub fn template_hash(template: &Value, collisions: Option<i32>) -> String {
    let mut hash = fnv1a(0x811c_9dc5, template.to_string().as_bytes());
    if let Some(collisions) = collisions {
        hash = fnv1a(hash, &u64::try_from(collisions).unwrap_or(0).to_le_bytes());
    }
    safe_encode(&hash.to_string())
}

/// `rand.SafeEncodeString`: every byte replaced by one of 27 letters that spell no words.
fn safe_encode(text: &str) -> String {
    text.bytes().map(|byte| char::from(SAFE[usize::from(byte) % SAFE.len()])).collect()
}

/// FNV-1a of 64 bits over all of these, one after the other.
pub fn fnv1a_64(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn fnv1a(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn encodes_as_apimachinery_does() {
        assert_eq!(safe_encode("0123456789"), "456789bcdf");
    }

    #[test]
    fn hashes_as_its_authors_do() {
        // http://www.isthe.com/chongo/src/fnv/test_fnv.c
        let cases = [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)];
        for (text, hash) in cases {
            assert_eq!(fnv1a_64(&[text.as_bytes()]), hash);
        }
    }

    #[test]
    fn depends_on_template_and_collisions_only() {
        let template = json!({"metadata": {"labels": {"b": "2", "a": "1"}}, "spec": {}});
        let same = json!({"spec": {}, "metadata": {"labels": {"a": "1", "b": "2"}}});
        assert_eq!(template_hash(&template, None), template_hash(&same, None));
        assert_ne!(template_hash(&template, None), template_hash(&template, Some(1)));
        assert_ne!(template_hash(&template, None), template_hash(&json!({"spec": {"a": 1}}), None));
    }
}
