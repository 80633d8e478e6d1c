//! Names from archives on their way out: nothing in them may move a terminal's cursor or reorder its line, and where text
//! cannot hold them, their bytes are kept.

use std::fmt::Write as _;

use base64::Engine;

/// `bytes` as text that is safe to print: control and bidirectional characters, line separators, backslashes and
/// bytes that are not UTF-8 are written as escapes (`\n`, `\u{202e}`, `\xff`).
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if needs_escape(character) {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a String takes everything");
        }
    }
    text
}

/// As [`printable`], cut to `limit` characters with an ellipsis.
#[must_use]
pub fn printable_short(bytes: &[u8], limit: usize) -> String {
    // One byte gives at most 10 characters and at least a quarter of one.
    let text = printable(&bytes[..bytes.len().min(limit.saturating_mul(4))]);
    match text.char_indices().nth(limit) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

/// `bytes` exactly, in base64, beside a text that could not hold them.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The bytes that [`base64()`] gave `text` for; none if it is not such text.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// A sentence as one line that is safe to print, whatever it quotes: as [`printable`], but backslashes stay, because what
/// it quotes may be escaped already.
#[must_use]
pub fn printable_line(sentence: &str) -> String {
    let mut text = String::with_capacity(sentence.len());
    for character in sentence.chars() {
        if moves_cursor(character) {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// `bytes` as one word of a command that a shell takes apart again, with nothing in it that a terminal obeys: as it is,
/// in single quotes, or as bash's, zsh's and ksh's `$'\033'`.
#[must_use]
pub fn shell_word(bytes: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(byte);
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.is_empty() && bytes.iter().all(is_plain) => text.to_owned(),
        Ok(text) if !text.contains(moves_cursor) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let mut word = "$'".to_owned();
            for &byte in bytes {
                match byte {
                    b'\'' | b'\\' => write!(word, "\\{}", char::from(byte)),
                    b' '..=b'~' => write!(word, "{}", char::from(byte)),
                    // Three digits at most, so that what follows is not part of it.
                    _ => write!(word, "\\{byte:03o}"),
                }
                .expect("a String takes everything");
            }
            word.push('\'');
            word
        }
    }
}

/// JSON text whose strings hold nothing that would move a terminal's cursor or reorder its line: JSON itself lets all but
/// the ASCII control characters stand. It stays the same JSON.
#[must_use]
pub fn json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        // Line breaks of pretty JSON are not part of a string.
        if character > '~' && moves_cursor(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(plain, "\\u{unit:04x}").expect("a String takes everything");
            }
        } else {
            plain.push(character);
        }
    }
    plain
}

fn needs_escape(character: char) -> bool {
    character == '\\' || moves_cursor(character)
}

fn moves_cursor(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Unicode Bidi_Control, line and paragraph separators, and characters that show as nothing.
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_the_cursor_is_escaped() {
        assert_eq!(printable(b"a\x1b[2Jb\nc\\"), r"a\u{1b}[2Jb\nc\\");
        assert_eq!(printable("x\u{202e}gmi.\u{2066}".as_bytes()), r"x\u{202e}gmi.\u{2066}");
        assert_eq!(printable("\u{9b}31m".as_bytes()), r"\u{9b}31m");
    }

    #[test]
    fn json_says_the_same_without_moving_the_cursor() {
        let name = "a\u{9b}31m\u{7f}\u{202e}\u{e0041}é\n";
        let text = json(&serde_json::to_string(name).expect("a string"));
        assert_eq!(text, r#""a\u009b31m\u007f\u202e\udb40\udc41é\n""#);
        assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), name);
    }

    #[test]
    fn bytes_that_are_not_utf8_stay_visible() {
        assert_eq!(printable(b"caf\xe9.img"), r"caf\xe9.img");
        assert_eq!(printable("café.img".as_bytes()), "café.img");
    }

    #[test]
    fn a_sentence_is_one_line_and_is_not_escaped_twice() {
        assert_eq!(
            printable_line("/s/a\x1b\n\u{202e} is in the way of a\\u{1b}"),
            r"/s/a\u{1b}\n\u{202e} is in the way of a\u{1b}"
        );
    }

    #[test]
    fn a_shell_takes_a_word_back_to_the_bytes_it_was() {
        for word in
            [&b""[..], b"/s/a.img", b"it's", b"a b$(c)\\", "\u{202e}x'\\0".as_bytes(), b"\x1b[2J\n7", b"\xff0~{}"]
        {
            let text = shell_word(word);
            assert_eq!(printable_line(&text), text);
            let command = format!("printf %s {text}");
            let output = std::process::Command::new("bash").args(["-c", &command]).output().expect("bash");
            assert_eq!(output.stdout, word, "{text}");
        }
        assert_eq!(shell_word(b"--image=/s/a.img"), "--image=/s/a.img");
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(printable_short(&[b'a'; 10_000], 5), "aaaaa…");
        assert_eq!(printable_short(b"abc", 3), "abc");
    }
}
