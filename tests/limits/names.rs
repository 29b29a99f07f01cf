//! Who is meant where a node calls itself by another's id or address.

use crate::mesh::{Mesh, address_of};
use herd::wire::command::{Command, Scope};
use herd::wire::reply::{ErrorCode, Reply};

/// Who answers to this word, or why nobody does.
fn answers(mesh: &mut Mesh, word: &str) -> Result<String, ErrorCode> {
    let number = mesh.request(0, Scope::Node(word.to_string()), Command::Ping);
    mesh.run_ms(1_000);
    let part = mesh.parts(0, number)[0];
    match &part.reply {
        Reply::Error(failure) => Err(failure.code),
        _ => Ok(part.id.to_string()),
    }
}

#[test]
fn no_name_stands_for_anothers_id_or_address() {
    let mut mesh = Mesh::new();
    mesh.add("node1", &[]);
    mesh.add("node2", &[address_of(0)]);
    let id = mesh.members[1].who.id().to_string();
    let address = address_of(1).ip().to_string();
    mesh.add(&id, &[address_of(0)]);
    mesh.add(&address, &[address_of(0)]);
    mesh.add(&id[..6], &[address_of(0)]);
    mesh.run_ms(3_000);
    assert_eq!(answers(&mut mesh, &id), Ok(id.clone()));
    assert_eq!(answers(&mut mesh, &address), Ok(id.clone()));
    assert_eq!(answers(&mut mesh, "node2"), Ok(id.clone()));
    // The beginning of one's id and the name of another: nobody knows who is meant.
    assert_eq!(answers(&mut mesh, &id[..6]), Err(ErrorCode::Ambiguous));
    let other = mesh.members[4].who.id().to_string();
    assert_eq!(answers(&mut mesh, &other), Ok(other.clone()));
}
