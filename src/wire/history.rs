//! What a node's journal holds: who changed something here, what became of the herd, who was refused.

use crate::wire::ids::NodeId;
use minicbor::{Decode, Encode};
use std::net::SocketAddr;

/// One line of `history`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Entry {
    /// Seconds since the epoch, by the clock of the node that keeps it.
    #[n(0)]
    pub unix_s: u64,
    #[n(1)]
    pub kind: EntryKind,
    /// The node it is about, or who asked, node or local user, as called then; empty for the node
    /// itself and for strangers.
    #[n(2)]
    pub name: String,
    /// Of the node it is about, or that asked.
    #[n(3)]
    pub id: NodeId,
    /// Where who asked, or the stranger, was then.
    #[n(4)]
    pub address: Option<SocketAddr>,
    /// Of the local user who asked.
    #[n(5)]
    pub uid: Option<u32>,
    /// Why; of a command its words.
    #[n(6)]
    pub text: String,
    /// Why a command failed; empty: it was carried out.
    #[n(7)]
    pub failure: String,
    /// How often it happened in a row: only refusals are counted so.
    #[n(8)]
    pub times: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode)]
#[cbor(index_only)]
pub enum EntryKind {
    /// A command that changes something was asked for, by a local user or another node.
    #[n(0)]
    Command,
    /// The node that keeps the journal.
    #[n(1)]
    Started,
    #[n(2)]
    Stopped,
    /// It believes itself cut off.
    #[n(3)]
    CutOff,
    /// Another node, seen for the first time.
    #[n(4)]
    Up,
    /// One that was down or had left.
    #[n(5)]
    Back,
    #[n(6)]
    Down,
    #[n(7)]
    Left,
    #[n(8)]
    Forgotten,
    /// A stranger who greeted and is not let in.
    #[n(9)]
    Refused,
    /// A newer key of the herd is held: made here, or handed over by a node.
    #[n(10)]
    Key,
    /// What only a newer program knows.
    #[default]
    #[n(11)]
    Other,
    /// A machine got the herd key for a join token.
    #[n(12)]
    Joined,
    /// The node that keeps the journal hears others again.
    #[n(13)]
    InTouch,
}

/// A kind that only a newer program knows is still an entry.
impl<'b, C> Decode<'b, C> for EntryKind {
    fn decode(
        d: &mut minicbor::Decoder<'b>,
        _: &mut C,
    ) -> Result<EntryKind, minicbor::decode::Error> {
        let number = usize::try_from(d.u32()?).unwrap_or(usize::MAX);
        Ok(EntryKind::ALL.get(number).copied().unwrap_or(EntryKind::Other))
    }
}

impl Entry {
    /// Whether it is about who asked and who was refused here, not about what everybody sees.
    pub fn is_private(&self) -> bool {
        matches!(self.kind, EntryKind::Command | EntryKind::Refused | EntryKind::Joined)
    }

    /// Whether it is about the node of this id, if that is known, or what a person calls so: a name, a
    /// word of a command, an address of a stranger.
    pub fn is_about(&self, id: Option<NodeId>, text: &str) -> bool {
        let named = self.uid.is_none() && self.name == text;
        let said = format!(" {} ", self.text).contains(&format!(" {text} "));
        let stranger = matches!(self.kind, EntryKind::Refused | EntryKind::Joined);
        let at = self.address.filter(|_| stranger);
        (id.is_some() && Some(self.id) == id)
            || named
            || (self.kind == EntryKind::Command && said)
            || at.is_some_and(|at| at.to_string() == text || at.ip().to_string() == text)
    }

    /// For others: that it was a local user, and not which. Why something failed may name him.
    pub fn without_user(&self) -> Entry {
        let mut entry = self.clone();
        if entry.uid.take().is_some() {
            entry.name.clear();
            if !entry.failure.is_empty() {
                entry.failure = "its own node knows why".to_string();
            }
        }
        entry
    }
}

impl EntryKind {
    /// In the order of their numbers.
    const ALL: [EntryKind; 14] = [
        EntryKind::Command,
        EntryKind::Started,
        EntryKind::Stopped,
        EntryKind::CutOff,
        EntryKind::Up,
        EntryKind::Back,
        EntryKind::Down,
        EntryKind::Left,
        EntryKind::Forgotten,
        EntryKind::Refused,
        EntryKind::Key,
        EntryKind::Other,
        EntryKind::Joined,
        EntryKind::InTouch,
    ];

    /// The stable word used in JSON.
    pub fn word(self) -> &'static str {
        match self {
            EntryKind::Command => "command",
            EntryKind::Started => "started",
            EntryKind::Stopped => "stopped",
            EntryKind::CutOff => "cut_off",
            EntryKind::Up => "up",
            EntryKind::Back => "back",
            EntryKind::Down => "down",
            EntryKind::Left => "left",
            EntryKind::Forgotten => "forgotten",
            EntryKind::Refused => "refused",
            EntryKind::Key => "key",
            EntryKind::Other => "other",
            EntryKind::Joined => "joined",
            EntryKind::InTouch => "in_touch",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;

    #[test]
    fn kinds_go_round_and_newer_ones_are_read() {
        for kind in EntryKind::ALL {
            assert_eq!(codec::decode(&codec::encode(&kind)), Ok(kind));
        }
        assert_eq!(codec::decode::<EntryKind>(&[0x18, 0x63]), Ok(EntryKind::Other));
    }
}
