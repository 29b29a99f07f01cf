//! Who sits at the control socket, by the kernel's word, and what he may do: all, or only look.
//!
//! Names and groups are read from /etc/passwd and /etc/group. The name service is not asked: it may
//! take seconds, and the loop waits for nobody.

use crate::node::User;
use crate::wire::command::{Command, Rank};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fs;
use std::os::fd::AsFd;

const GROUPS: &str = "/etc/group";
const USERS: &str = "/etc/passwd";
/// Whom the kernel cannot name here: in a user namespace that has no number for him.
const UNMAPPED: u32 = 65_534;

/// A line of /etc/group.
#[derive(Debug, PartialEq)]
pub struct Group {
    pub id: u32,
    members: Vec<String>,
}

/// A line of /etc/passwd.
#[derive(Debug, PartialEq)]
struct Person {
    name: String,
    group: u32,
}

/// Who may do what at the control socket.
#[derive(Debug)]
pub struct Users {
    own_uid: u32,
    /// The group whose members may only look.
    readers: Option<String>,
}

impl Users {
    /// Root, and the user this daemon runs as: the last places are kept for them.
    pub fn is_master(&self, client: &impl AsFd) -> bool {
        let peer = getsockopt(client, PeerCredentials);
        peer.is_ok_and(|peer| peer.uid() == 0 || peer.uid() == self.own_uid)
    }

    pub fn new(readers: Option<&str>) -> Result<Users, String> {
        if let Some(name) = readers.filter(|name| group(name).is_none()) {
            let wrong = match name.parse::<u32>() {
                Ok(_) => format!("wants the name of a group in {GROUPS}, not a number"),
                Err(_) => format!("there is no such group in {GROUPS}; groupadd makes one"),
            };
            return Err(format!("readers `{name}`: {wrong}"));
        }
        let own_uid = nix::unistd::geteuid().as_raw();
        Ok(Users { own_uid, readers: readers.map(str::to_string) })
    }

    /// The user behind a client. What only looks needs no name where all may do all, and no file is
    /// read for it.
    pub fn user(&self, client: &impl AsFd, command: &Command) -> User {
        if command.rank() == Rank::Read && self.readers.is_none() {
            return User::default();
        }
        match getsockopt(client, PeerCredentials) {
            Ok(peer) => self.known(peer.uid(), peer.gid(), &read(USERS), &read(GROUPS)),
            // Nobody can say who it is.
            Err(_) => User { uid: u32::MAX, name: String::new(), may: Rank::Read },
        }
    }

    /// Root and the owner of this process may all. Who is in no file may be a reader as well.
    fn known(&self, uid: u32, gid: u32, users: &str, groups: &str) -> User {
        let person = person(uid, users);
        let reads = |name: &String| {
            let (Some(person), Some(group)) = (&person, group_in(name, groups)) else {
                return true;
            };
            [gid, person.group].contains(&group.id) || group.members.contains(&person.name)
        };
        let master = uid == 0 || uid == self.own_uid;
        let unknown = uid == UNMAPPED;
        let reads = |name: &String| unknown || reads(name);
        let only_reads = !master && self.readers.as_ref().is_some_and(reads);
        let may = if only_reads { Rank::Read } else { Rank::Execute };
        User { uid, name: person.map(|person| person.name).unwrap_or_default(), may }
    }
}

fn read(path: &str) -> String {
    fs::read(path).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into())
}

/// The group of this name.
pub fn group(name: &str) -> Option<Group> {
    group_in(name, &read(GROUPS))
}

fn group_in(name: &str, groups: &str) -> Option<Group> {
    let fields = |line: &str| line.split(':').map(str::to_string).collect::<Vec<_>>();
    let group = groups.lines().map(fields).find(|group| group[0] == name)?;
    let members = group.get(3).map_or("", String::as_str).split(',').map(str::to_string);
    Some(Group { id: group.get(2)?.parse().ok()?, members: members.collect() })
}

fn person(uid: u32, users: &str) -> Option<Person> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_string();
        let mut numbers = fields.skip(1).map(|field| field.parse::<u32>().ok());
        (numbers.next()?? == uid).then_some(())?;
        Some(Person { name, group: numbers.next()?? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/:/bin/sh\nbroken\nanna:x:1000:100::/:\notto:x:1001:997:::\n\
                          eva:x:1002:100::/:";
    const GROUP: &str =
        "root:x:0:\ndausty:x:5:\n\nbroken\ndaust:x:997:anna,eva\nlookers:x:800:eva,x\n";

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let members = vec!["anna".to_string(), "eva".to_string()];
        assert_eq!(group_in("daust", GROUP), Some(Group { id: 997, members }));
        assert_eq!(group_in("daust", "daust"), None);
        assert_eq!(group_in("daust", "daust:x:many:"), None);
        assert_eq!(group_in("dau", GROUP), None);
    }

    /// Every way to be a reader, and every way to be none.
    #[test]
    fn who_only_looks() {
        let users = Users { own_uid: 1001, readers: Some("lookers".to_string()) };
        for (uid, gid, name, may) in [
            (0, 0, "root", Rank::Execute),
            (0, 800, "root", Rank::Execute),
            (1001, 800, "otto", Rank::Execute),
            (1000, 100, "anna", Rank::Execute),
            (1000, 800, "anna", Rank::Read),
            (1002, 100, "eva", Rank::Read),
            (1003, 997, "", Rank::Read),
        ] {
            let expected = User { uid, name: name.to_string(), may };
            assert_eq!(users.known(uid, gid, PASSWD, GROUP), expected);
        }
        let primary = Users { own_uid: 0, readers: Some("daust".to_string()) };
        assert_eq!(primary.known(1001, 5, PASSWD, GROUP).may, Rank::Read, "by his own group");
        assert_eq!(primary.known(1001, 5, PASSWD, "").may, Rank::Read, "the group went away");
        let nobody = Users { own_uid: 0, readers: None };
        assert_eq!(nobody.known(1003, 5, PASSWD, GROUP).may, Rank::Execute);
    }

    #[test]
    fn a_group_that_is_not_there_is_named() {
        let error = Users::new(Some("no-such-group")).unwrap_err();
        assert!(error.contains("`no-such-group`") && error.contains("groupadd"), "{error}");
        let error = Users::new(Some("5")).unwrap_err();
        assert!(error.contains("the name of a group") && error.contains("not a number"), "{error}");
        assert!(Users::new(None).is_ok());
    }
}
