//! Life classes: what kind of life a node leads, by its own signed word, decides whether it is
//! forgotten by itself once it is gone.

use std::fmt;
use std::str::FromStr;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Class {
    /// Never forgotten by itself.
    #[default]
    Pet,
    /// Forgotten a while after it is gone.
    Cattle,
    /// Forgotten soon after its goodbye, or the word of who ran it that it ended.
    Ephemeral,
}

impl Class {
    const ALL: [Class; 3] = [Class::Pet, Class::Cattle, Class::Ephemeral];

    pub fn word(self) -> &'static str {
        match self {
            Class::Pet => "pet",
            Class::Cattle => "cattle",
            Class::Ephemeral => "ephemeral",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(word: &str) -> Result<Class, String> {
        let found = Class::ALL.into_iter().find(|class| class.word() == word);
        found.ok_or("the classes are pet, cattle or ephemeral".to_string())
    }
}
