//! The text of `why`: a few sentences, the most telling first.

use crate::client::render::escape;
use crate::wire::info::State;
use crate::wire::why::{Heard, HeardOn, Outcome, Said, VoteInfo, VoterInfo, WhyInfo};

pub fn text(info: &WhyInfo, verbose: bool) -> String {
    let mut sentences = match info.own {
        true => vec![format!("{} runs since {}", escape(&info.name), ago(info.state_ms))],
        false => others(info),
    };
    sentences.extend(info.stale_ms.map(|ms| {
        format!("the asked node believes itself cut off since {}: its view is old", ago(ms))
    }));
    sentences.push(parent(info));
    if verbose {
        sentences.push(format!("id {}, generation {}", info.id, info.generation));
    }
    sentences.into_iter().filter(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

fn others(info: &WhyInfo) -> Vec<String> {
    let mut sentences = vec![state(info)];
    sentences.extend(info.note.as_ref().map(|note| escape(note)));
    sentences.push(last(info));
    sentences.extend(info.heard.iter().map(heard));
    if info.heard.is_empty() {
        sentences.push("the asked node itself never heard it since it started".to_string());
    }
    sentences.extend(info.refused_ms.map(|ms| {
        format!("its host answered {} ago that nobody listens there: its process is gone", ago(ms))
    }));
    if info.broke_off {
        sentences.push("its end of a stream closed without a goodbye: its process ended".into());
    }
    if matches!(info.state, State::Alive | State::Suspect) {
        sentences.push(route(info));
    }
    sentences.extend(info.vote.as_ref().map(vote));
    sentences
}

fn state(info: &WhyInfo) -> String {
    let reason = match (info.reason.as_str(), info.state) {
        ("", State::Left) => ": it said goodbye".to_string(),
        ("", _) => String::new(),
        (reason, _) => format!(": {}", escape(reason)),
    };
    let (name, word, since) = (escape(&info.name), info.state.word(), ago(info.state_ms));
    match info.state {
        State::Left => format!("{name} left {since} ago{reason}"),
        _ => format!("{name} is {word} since {since}{reason}"),
    }
}

fn last(info: &WhyInfo) -> String {
    let by = escape(&info.heard_by);
    if info.heard_by == info.name {
        return "nobody in the herd heard it since the asked node knows of it".to_string();
    }
    format!("the herd heard it last {} ago: {by} did", ago(info.last_seen_ms))
}

fn heard(heard: &Heard) -> String {
    let age = ago(heard.age_ms);
    let at = heard.address.map(|at| at.to_string()).unwrap_or_default();
    let through = match heard.through.as_str() {
        "" => at.clone(),
        name => format!("{} ({at})", escape(name)),
    };
    match heard.path {
        HeardOn::Direct => format!("its datagrams came from {at}, the last one {age} ago"),
        HeardOn::Relayed => format!("its datagrams came through {through}, the last one {age} ago"),
        HeardOn::Stream => format!("on a stream it spoke {age} ago"),
    }
}

fn route(info: &WhyInfo) -> String {
    match info.route.as_str() {
        "" => "no way that worked lately leads to it".to_string(),
        route => match route.strip_prefix("via ") {
            Some(name) => format!("it is reached through {}", escape(name)),
            None if info.hidden => format!(
                "it is reached directly, at {}: its own datagrams keep that way open",
                escape(route)
            ),
            None => format!("it is reached directly, at {}", escape(route)),
        },
    }
}

fn parent(info: &WhyInfo) -> String {
    match (info.hidden, info.parent.as_str()) {
        (true, "") => {
            "it is hidden (who has not talked to it can not begin) and has no parent".into()
        }
        (true, parent) => format!(
            "it is hidden: who has not talked to it begins through its parent, {}",
            escape(parent)
        ),
        (false, _) => String::new(),
    }
}

fn vote(vote: &VoteInfo) -> String {
    let outcome = match vote.outcome {
        Outcome::Down => "they found it down",
        Outcome::Heard => "it was heard while they looked",
        Outcome::SeenByOthers => "others see it, only the path from there is broken",
        Outcome::NoAnswer => "nobody answered",
        Outcome::Alone => "there was nobody else to ask",
    };
    let said = |voter: &VoterInfo| format!("{}: {}", escape(&voter.name), voter.said.word());
    let mut votes: Vec<&VoterInfo> = vote.votes.iter().collect();
    votes.sort_by_key(|voter| voter.said == Said::Nothing);
    let votes: Vec<String> = votes.into_iter().map(said).collect();
    let (age, by) = (ago(vote.age_ms), escape(&vote.called_by));
    format!("last vote about it {age} ago, called by {by}: {outcome} ({})", votes.join(", "))
}

/// Whole seconds from one on.
fn ago(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        _ => format!("{} s", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_for_every_state() {
        let info = WhyInfo { name: "vm\n4".into(), heard_by: "node1".into(), ..Default::default() };
        let voter = |name: &str, said| VoterInfo { name: name.into(), said };
        let down = WhyInfo {
            state: State::Down,
            state_ms: 12_300,
            reason: "silent".into(),
            last_seen_ms: 14_000,
            heard: vec![
                Heard {
                    path: HeardOn::Relayed,
                    address: Some("10.0.0.9:4040".parse().unwrap()),
                    age_ms: 999,
                    through: "node9".into(),
                },
                Heard {
                    path: HeardOn::Stream,
                    address: None,
                    age_ms: 20_000,
                    through: String::new(),
                },
            ],
            hidden: true,
            parent: "node9".into(),
            route: "via node9".into(),
            refused_ms: Some(1_000),
            vote: Some(VoteInfo {
                age_ms: 13_000,
                called_by: "node3".into(),
                outcome: Outcome::Down,
                votes: vec![voter("node2", Said::Nothing), voter("node1", Said::Silent)],
            }),
            ..info.clone()
        };
        assert_eq!(
            text(&down, false),
            "vm\\n4 is down since 12 s: silent\n\
             the herd heard it last 14 s ago: node1 did\n\
             its datagrams came through node9 (10.0.0.9:4040), the last one 999 ms ago\n\
             on a stream it spoke 20 s ago\n\
             its host answered 1 s ago that nobody listens there: its process is gone\n\
             last vote about it 13 s ago, called by node3: they found it down (node1: silent, \
             node2: no answer)\n\
             it is hidden: who has not talked to it begins through its parent, node9\n"
        );
        let left = WhyInfo { state: State::Left, state_ms: 5_000, broke_off: true, ..info.clone() };
        let said = text(&left, true);
        for part in ["left 5 s ago: it said goodbye\n", "never heard it", "generation 0"] {
            assert!(said.contains(part), "{said}");
        }
        for (route, said) in [
            ("", "no way that worked lately leads to it"),
            ("via node9", "it is reached through node9"),
            ("10.0.0.4:4040", "it is reached directly, at 10.0.0.4:4040"),
        ] {
            let alive = WhyInfo { route: route.into(), ..info.clone() };
            assert!(text(&alive, false).contains(said), "{route}");
        }
        let punched = WhyInfo {
            hidden: true,
            route: "10.0.0.4:7".into(),
            note: Some("x".into()),
            ..info.clone()
        };
        let said = text(&punched, false);
        assert!(said.contains("\nx\n") && said.contains("10.0.0.4:7: its own datagrams"), "{said}");
        let own = WhyInfo { own: true, state_ms: 61_000, stale_ms: Some(3_000), ..info };
        assert_eq!(
            text(&own, false),
            "vm\\n4 runs since 61 s\n\
             the asked node believes itself cut off since 3 s: its view is old\n"
        );
    }
}
