//! `list --at TIME`: who was there then, as the journal of the local node tells.

use crate::client::render::escape;
use crate::wire::history::{Entry, EntryKind};
use crate::wire::ids::NodeId;
use crate::wire::time::utc;
use std::collections::BTreeMap;

/// What is known of a node at a time.
#[derive(Clone, PartialEq, Debug)]
pub struct Then {
    pub name: String,
    pub id: NodeId,
    /// `alive`, `down` or `left`.
    pub state: &'static str,
    pub since_unix_s: u64,
    pub reason: String,
}

/// The last word on each node until then, by name; who was forgotten is left out. None: the journal
/// begins later.
pub fn at(entries: &[Entry], unix_s: u64) -> Option<Vec<Then>> {
    if entries.first().is_none_or(|first| first.unix_s > unix_s) {
        return None;
    }
    let mut nodes: BTreeMap<NodeId, Then> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.unix_s <= unix_s) {
        let state = match entry.kind {
            EntryKind::Up | EntryKind::Back => "alive",
            EntryKind::Down => "down",
            EntryKind::Left => "left",
            EntryKind::Forgotten => {
                nodes.remove(&entry.id);
                continue;
            }
            _ => continue,
        };
        let (name, reason) = (entry.name.clone(), entry.text.clone());
        let then = Then { name, id: entry.id, state, since_unix_s: entry.unix_s, reason };
        nodes.insert(entry.id, then);
    }
    let mut nodes: Vec<Then> = nodes.into_values().collect();
    nodes.sort_by_cached_key(|node| (crate::client::order::natural(&node.name), node.id));
    Some(nodes)
}

pub fn line(then: &Then) -> String {
    let reason = match then.reason.as_str() {
        "" => String::new(),
        why => format!(" ({})", escape(why)),
    };
    let since = utc(then.since_unix_s);
    format!("{}: {} since {since}{reason}\n", escape(&then.name), then.state)
}

/// A time as `history` writes it (the end may be left out), or an age: `90s`, `10m`, `2h`, `3d`.
pub fn parse(text: &str, now_unix_s: u64) -> Result<u64, String> {
    let wrong = || {
        format!(
            "--at wants 2026-11-21T08:19:36Z (UTC) or an age such as 90s, 10m, 2h, 3d, not `{text}`"
        )
    };
    let age = |unit: char, seconds: u64| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds)
    };
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    if let Some(age_s) = units.iter().find_map(|(unit, seconds)| age(*unit, *seconds)) {
        return now_unix_s.checked_sub(age_s).ok_or_else(wrong);
    }
    // Completed by what is left out, and then looked for among all times: the way back is `utc`.
    const WHOLE: &str = "0000-01-01T00:00:00Z";
    let text = text.trim_end_matches('Z').replace(' ', "T");
    let whole = format!("{text}{}", WHOLE.get(text.len()..).ok_or_else(wrong)?);
    let (mut low, mut high) = (0, u64::from(u32::MAX) * 2);
    while low < high {
        let middle = (low + high) / 2;
        if utc(middle) < whole { low = middle + 1 } else { high = middle }
    }
    if utc(low) == whole { Ok(low) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(unix_s: u64, kind: EntryKind, id: u64, name: &str) -> Entry {
        Entry { unix_s, kind, id: NodeId(id), name: name.into(), ..Entry::default() }
    }

    #[test]
    fn the_last_word_until_then_counts() {
        let down = Entry { text: "silent".into(), ..entry(30, EntryKind::Down, 2, "vm 2") };
        let entries = [
            entry(10, EntryKind::Started, 0, ""),
            entry(11, EntryKind::Up, 2, "vm 2"),
            entry(20, EntryKind::Up, 3, "vm 10"),
            down,
            entry(40, EntryKind::Back, 2, "vm 2"),
            entry(50, EntryKind::Left, 3, "vm 10"),
            entry(60, EntryKind::Forgotten, 3, "vm 10"),
        ];
        let lines = |unix_s| {
            let nodes = at(&entries, unix_s)?;
            Some(nodes.iter().map(line).collect::<String>().replace("1970-01-01T00:00:", ""))
        };
        assert_eq!(lines(9), None);
        assert_eq!(lines(10).as_deref(), Some(""));
        assert_eq!(
            lines(39).as_deref(),
            Some("vm 2: down since 30Z (silent)\nvm 10: alive since 20Z\n")
        );
        assert_eq!(lines(55).as_deref(), Some("vm 2: alive since 40Z\nvm 10: left since 50Z\n"));
        assert_eq!(lines(60).as_deref(), Some("vm 2: alive since 40Z\n"));
        assert_eq!(at(&[], 60), None);
    }

    #[test]
    fn times_and_ages() {
        let now = 1_795_249_176;
        assert_eq!(utc(now), "2026-11-21T08:19:36Z");
        for (text, age_s) in [
            ("2026-11-21T08:19:36Z", 0),
            ("2026-11-21 08:19:36", 0),
            ("2026-11-21T08:19", 36),
            ("2026-11-21", 8 * 3_600 + 19 * 60 + 36),
            ("90s", 90),
            ("10m", 600),
            ("2h", 7_200),
            ("3d", 259_200),
        ] {
            assert_eq!(parse(text, now), Ok(now - age_s), "{text}");
        }
        for text in ["", "x", "2026-13-01", "2026-02-30", "-5m", "99999999999d", "1969-01-01"] {
            assert!(parse(text, now).unwrap_err().contains("--at wants"), "{text}");
        }
    }
}
