//! Join tokens: how many wait, how long, how often each lets in, and who is told what.

use crate::crowd::{VICTIM, address, alone, give};
use crate::mesh::Mesh;
use herd::wire::command::{Command, Scope};
use herd::wire::header::Header;
use herd::wire::key::HerdKey;
use herd::wire::limits::*;
use herd::wire::refusal::Outside;
use herd::wire::reply::{ErrorCode, Reply};
use herd::wire::token::{Answer, Attempt, Token};
use std::net::SocketAddr;

fn keyed() -> Mesh {
    let mut mesh = Mesh::new();
    mesh.key = Some(HerdKey::first(&[1; 40]));
    mesh.add("node1", &[]);
    mesh.run_ms(100);
    mesh
}

fn asked(mesh: &mut Mesh) -> Result<Token, (ErrorCode, String)> {
    let number = mesh.request(VICTIM, Scope::Here, Command::Token);
    match &mesh.parts(VICTIM, number)[0].reply {
        Reply::Token(text) => {
            let (token, at) = text.split_once('@').unwrap();
            assert_eq!(at, mesh.members[VICTIM].address.to_string());
            Ok(token.parse().unwrap())
        }
        Reply::Error(failure) => Err((failure.code, failure.detail.clone())),
        other => panic!("{other:?}"),
    }
}

fn attempt(token: &Token, seed: u8) -> Attempt {
    Attempt::new(token, [seed; 32]).unwrap()
}

/// He shows a token; what he reads of the answer, if there is one.
fn show(mesh: &mut Mesh, attempt: &mut Attempt, from: SocketAddr) -> Option<Answer> {
    let before = mesh.sent.len();
    give(mesh, from, &attempt.question.clone());
    let answered = mesh.sent[before..].iter().find(|sent| sent.to == from)?;
    assert!(answered.bytes.len() < attempt.question.len());
    Some(attempt.read(&answered.bytes))
}

fn is_let_in(answer: Option<Answer>) -> bool {
    matches!(answer, Some(Answer::Key(key)) if key.id() == HerdKey::first(&[1; 40]).id())
}

fn why(answer: Option<Answer>) -> Option<Outside> {
    match answer {
        Some(Answer::Refused(why)) => Some(why),
        _ => None,
    }
}

#[test]
fn a_token_lets_one_in_and_the_same_question_gets_the_same_answer() {
    let mut mesh = keyed();
    let token = asked(&mut mesh).unwrap();
    let (mut one, mut other) = (attempt(&token, 1), attempt(&token, 2));
    let before = mesh.sent.len();
    give(&mut mesh, address(1, 7), &one.question);
    let lost = mesh.sent[before..].iter().find(|sent| sent.to == address(1, 7)).unwrap();
    let lost = lost.bytes.clone();
    assert!(matches!(other.read(&lost), Answer::Noise), "who shows it as well reads nothing");
    assert_eq!(why(show(&mut mesh, &mut other, address(2, 7))), Some(Outside::TokenUsed));
    assert!(is_let_in(show(&mut mesh, &mut one, address(1, 8))));
    assert_eq!(mesh.sent.last().unwrap().bytes, lost);
    assert_eq!(mesh.counter(VICTIM, "join tokens refused"), 1);
}

/// Its maker was paused: who asked meanwhile may have given up, and comes again with the same token.
#[test]
fn what_was_shown_while_its_maker_slept_uses_no_token_up() {
    let mut mesh = keyed();
    let token = asked(&mut mesh).unwrap();
    mesh.now = mesh.now.plus_ms(5_000);
    assert!(show(&mut mesh, &mut attempt(&token, 1), address(1, 7)).is_none());
    mesh.run_ms(500);
    assert!(is_let_in(show(&mut mesh, &mut attempt(&token, 2), address(1, 8))));
    let number = mesh.request(VICTIM, Scope::Here, Command::History(None));
    let lines = format!("{:?}", mesh.parts(VICTIM, number));
    assert_eq!(lines.matches("kind: Joined").count(), 1, "{lines}");
}

#[test]
fn tokens_that_wait() {
    let mut mesh = keyed();
    let tokens: Vec<Token> = (0..TOKENS).map(|_| asked(&mut mesh).unwrap()).collect();
    let (code, text) = asked(&mut mesh).unwrap_err();
    assert!(code == ErrorCode::Limit && text.contains("limit of 16 join tokens"), "{text}");
    assert!(text.contains("ask another node"), "{text}");
    // One that was used makes room, the others are good as before.
    assert!(is_let_in(show(&mut mesh, &mut attempt(&tokens[3], 1), address(1, 7))));
    assert!(asked(&mut mesh).is_ok());
    assert!(asked(&mut mesh).is_err());
    assert!(is_let_in(show(&mut mesh, &mut attempt(&tokens[0], 2), address(2, 7))));
    assert_eq!(
        why(show(&mut mesh, &mut attempt(&tokens[3], 3), address(3, 7))),
        Some(Outside::TokenUnknown)
    );
}

#[test]
fn the_time_of_a_token() {
    let mut mesh = keyed();
    let (early, late) = (asked(&mut mesh).unwrap(), asked(&mut mesh).unwrap());
    mesh.run_ms(TOKEN_MS - 1);
    assert!(is_let_in(show(&mut mesh, &mut attempt(&early, 1), address(1, 7))));
    mesh.run_ms(1);
    for (from, expected) in [(2, Outside::TokenExpired), (3, Outside::TokenExpired)] {
        assert_eq!(why(show(&mut mesh, &mut attempt(&late, 2), address(from, 7))), Some(expected));
    }
    mesh.run_ms(TOKEN_MS);
    let forgotten = show(&mut mesh, &mut attempt(&late, 3), address(4, 7));
    assert_eq!(why(forgotten), Some(Outside::TokenUnknown));
}

#[test]
fn who_guesses_or_bends_learns_nothing_and_uses_nothing_up() {
    let mut mesh = keyed();
    let token = asked(&mut mesh).unwrap();
    let good = attempt(&token, 1).question;
    // Its name is seen by who watches the wire: without the secret that is worth nothing.
    for at in [32, 40, 71, 72, 87] {
        let mut bent = good.clone();
        bent[at] ^= 1;
        let before = mesh.sent.len();
        give(&mut mesh, address(at, 7), &bent);
        let said = mesh.sent[before..].iter().find(|sent| sent.to == address(at, 7)).unwrap();
        let (_, rest) = Header::parse(&said.bytes).unwrap();
        assert_eq!(Outside::read(rest).unwrap().1, Outside::TokenUnknown, "byte {at}");
    }
    for length in [0, 31, 32, 40, 88, HELLO_BYTES - 1] {
        let before = mesh.sent.len();
        give(&mut mesh, address(9, 7), &good[..length]);
        assert_eq!(mesh.sent.len(), before, "{length} bytes are answered");
    }
    assert!(is_let_in(show(&mut mesh, &mut attempt(&token, 1), address(8, 7))));
}

#[test]
fn tokens_of_another_herd_and_open_herds() {
    let mut mesh = keyed();
    let other = Token::new(77, [1; 16]);
    let answer = show(&mut mesh, &mut attempt(&other, 1), address(1, 7));
    assert_eq!(why(answer), Some(Outside::TokenOfOther));
    let mut open = alone();
    let (code, text) = asked(&mut open).unwrap_err();
    assert!(code == ErrorCode::Refused && text.contains("daust key new"), "{text}");
    let answer = show(&mut open, &mut attempt(&other, 1), address(1, 7));
    assert_eq!(why(answer), Some(Outside::TokenOfOther));
}

/// Guesses cost no more than hellos do, and share their limits.
#[test]
fn guesses_are_limited_like_hellos() {
    let mut mesh = keyed();
    let token = asked(&mut mesh).unwrap();
    let guess = attempt(&Token::new(token.herd(), [1; 16]), 1).question;
    for _ in 0..10 * HELLOS_PER_SOURCE {
        give(&mut mesh, address(1, 7), &guess);
    }
    let told = mesh.sent.iter().filter(|sent| sent.to == address(1, 7)).count();
    assert_eq!(told, REFUSALS_PER_SOURCE as usize);
    assert_eq!(mesh.counter(VICTIM, "join tokens refused"), u64::from(HELLOS_PER_SOURCE));
    assert!(show(&mut mesh, &mut attempt(&token, 1), address(1, 7)).is_none());
    assert!(is_let_in(show(&mut mesh, &mut attempt(&token, 1), address(2, 7))));
    mesh.run_ms(1_000);
}
