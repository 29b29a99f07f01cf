//! What `doctor` finds: one sentence each, and what to do where something is wrong.

use minicbor::{Decode, Encode};

#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Finding {
    /// The stable word for what was looked at, such as `udp`.
    #[n(0)]
    pub check: String,
    #[n(1)]
    pub verdict: Verdict,
    #[n(2)]
    pub text: String,
    /// What to do about it; empty where nothing is wrong.
    #[n(3)]
    pub advice: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Verdict {
    #[default]
    #[n(0)]
    Well,
    /// Worth knowing.
    #[n(1)]
    Note,
    #[n(2)]
    Wrong,
}

impl Verdict {
    /// The stable word used in JSON, and on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Well => "ok",
            Verdict::Note => "note",
            Verdict::Wrong => "wrong",
        }
    }
}

impl Finding {
    pub fn well(check: &str, text: impl Into<String>) -> Finding {
        Finding { check: check.to_string(), text: text.into(), ..Finding::default() }
    }

    pub fn note(check: &str, text: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Note, ..Finding::well(check, text) }
    }

    pub fn wrong(check: &str, text: impl Into<String>, advice: impl Into<String>) -> Finding {
        let advice = advice.into();
        Finding { verdict: Verdict::Wrong, advice, ..Finding::well(check, text) }
    }
}
