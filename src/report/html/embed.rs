//! Texts on their way into a page: data for its script, and the policy that keeps everything else out of it.

use std::fmt::Write as _;

use base64::Engine as _;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::sanitize;

/// `value` as JSON that can stand in a `<script>` element: no character in it ends the element or begins another, and
/// none moves a cursor or reorders a line.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = sanitize::json(&serde_json::to_string(value)?);
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // Outside of strings, JSON has none of these.
            '<' | '>' | '&' => {
                let _ = write!(plain, "\\u{:04x}", u32::from(character));
            }
            _ => plain.push(character),
        }
    }
    Ok(plain)
}

/// A Content Security Policy that lets nothing be loaded and nothing run but these very texts. Trusted types make an
/// assignment of markup an error.
pub fn policy(style: &str, script: &str) -> String {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        source(style),
        source(script),
    )
}

fn source(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_its_element() {
        let hostile = "</script><!--<script>&amp;\u{2028}\u{2029}\u{202e}";
        let text = json(&[hostile]).expect("JSON");
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\u{202e}']), "{text}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).expect("JSON"), [hostile]);
    }

    #[test]
    fn the_policy_names_the_texts_by_their_hashes() {
        // printf '' | openssl dgst -sha256 -binary | base64
        assert!(policy("", "x").contains("style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"));
    }
}
