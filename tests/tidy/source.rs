//! Reads Rust source just well enough for the rules: comments and strings blanked, test modules
//! cut off, functions measured, imports resolved to the rooms they name.

/// The same text with comments, strings and character literals blanked, line breaks kept.
pub fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match literal_end(&chars, at) {
            Some(end) => end,
            None => {
                out.push(chars[at]);
                at += 1;
                continue;
            }
        };
        out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends; None if none begins there.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let named = at > 0 && is_word(chars[at - 1]);
    match rest {
        ['/', '/', ..] => Some(at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => Some(block_comment_end(chars, at)),
        ['"', ..] => Some(string_end(chars, at + 1)),
        ['r', '"' | '#', ..] if !named => raw_string_end(chars, at + 1),
        ['b', 'r', '"' | '#', ..] if !named => raw_string_end(chars, at + 2),
        ['\'', '\\', ..] => {
            let close = rest.iter().skip(3).position(|&c| c == '\'')?;
            Some(at + close + 4)
        }
        // A lifetime has no closing quote after one character.
        ['\'', _, '\'', ..] => Some(at + 3),
        _ => None,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        match &chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `at` is behind the r. None for a raw identifier such as r#type.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + hashes) != Some(&'"') {
        return None;
    }
    let closes =
        |i: &usize| chars[*i] == '"' && chars[*i + 1..].iter().take(hashes).all(|&c| c == '#');
    let close = (at + hashes + 1..chars.len()).find(closes).unwrap_or(chars.len());
    Some((close + 1 + hashes).min(chars.len()))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Blanked text without its test modules (`#[cfg(test)] mod ... { }`). One in a file of its own
/// (`mod tests;`) is left to whoever reads that file.
pub fn without_tests(blanked: &str) -> String {
    let mut text = blanked.to_string();
    while let Some(start) = text.find("#[cfg(test)]") {
        let open = text[start..].find(['{', ';']).map_or(text.len(), |i| start + i);
        let end = match text[open..].starts_with('{') {
            true => block_end(&text, open),
            false => (open + 1).min(text.len()),
        };
        text.replace_range(start..end, "");
    }
    text
}

/// Behind the brace that closes the one at `open`.
fn block_end(text: &str, open: usize) -> usize {
    let mut depth = 0;
    for (i, c) in text[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + i + 1;
        }
    }
    text.len()
}

/// Name and lines of every function with a body, signature and closing brace included.
pub fn functions(blanked: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (start, _) in blanked.match_indices("fn ") {
        if blanked[..start].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let name: String = blanked[start + 3..].chars().take_while(|&c| is_word(c)).collect();
        let Some(open) = body_start(blanked, start) else { continue };
        if !name.is_empty() {
            found.push((name, blanked[start..block_end(blanked, open)].lines().count()));
        }
    }
    found
}

/// The brace that opens the body; None for a declaration or a function type. A semicolon inside
/// brackets, as in `[u8; 4]`, is no end.
fn body_start(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text[start..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(start + i),
            ';' | '=' | ',' if depth == 0 => return None,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    None
}

/// Every path of ours that the text names, from the crate's root, as far as it is written:
/// `use crate::wire::{ids, time}` gives wire::ids and wire::time. `module` is where the text
/// stands, for `super` and `self`. In a program, `herd::` is the crate.
pub fn paths(blanked: &str, module: &[&str]) -> Vec<Vec<String>> {
    let words = words(blanked);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let begins = at == 0 || words[at - 1] != "::";
        let base = match words[at].as_str() {
            "crate" | "herd" if begins => Some(0),
            "super" if begins => Some(module.len().saturating_sub(1)),
            "self" if begins => Some(module.len()),
            _ => None,
        };
        at += 1;
        if let (Some(base), Some("::")) = (base, words.get(at).map(String::as_str)) {
            let prefix = module[..base].iter().map(ToString::to_string).collect();
            tree(&words, &mut (at + 1), prefix, &mut found);
        }
    }
    found
}

/// One branch of a use tree: `a::b`, `a::{b, c::d}`, `super::super::a`, `a::*`.
fn tree(words: &[String], at: &mut usize, mut path: Vec<String>, found: &mut Vec<Vec<String>>) {
    loop {
        match words.get(*at).map(String::as_str) {
            Some("{") => {
                *at += 1;
                while words.get(*at).is_some_and(|w| w != "}") {
                    tree(words, at, path.clone(), found);
                    if words.get(*at).is_some_and(|w| w != "}") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            Some("super") => drop(path.pop()),
            Some("self") => {}
            Some(word) if word.starts_with(is_word) => path.push(word.to_string()),
            _ => {}
        }
        *at += 1;
        match words.get(*at).map(String::as_str) {
            Some("::") => *at += 1,
            Some("as") => {
                *at += 2;
                break;
            }
            _ => break,
        }
    }
    found.push(path);
}

/// Words, `::`, and single signs.
pub fn words(blanked: &str) -> Vec<String> {
    let chars: Vec<char> = blanked.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let length = match chars[at..] {
            [':', ':', ..] => 2,
            [c, ..] if is_word(c) => chars[at..].iter().take_while(|&&c| is_word(c)).count(),
            _ => 1,
        };
        if !chars[at].is_whitespace() {
            out.push(chars[at..at + length].iter().collect());
        }
        at += length;
    }
    out
}
