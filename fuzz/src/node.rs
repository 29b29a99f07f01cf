//! Whole nodes: bytes are read as a sequence of what an attacker, a liar inside, the disk, the
//! network and time may do to a node that also talks with an honest one.

use super::acts::{Act, Bend, Source};
use super::mesh::{self, address_of};
use super::script::Script;
use super::world::{INSIDER, VICTIM, World};
use herd::node::{Input, User};
use herd::wire::codec;
use herd::wire::command::{Command, Scope};
use herd::wire::control::Request;
use herd::wire::header::Kind;
use herd::wire::ids::{ClientId, Generation, NodeId, PipeId, StreamId};
use herd::wire::key::HerdKey;
use herd::wire::message::Envelope;
use herd::wire::noise::{Read, Session};
use herd::wire::pipe::Piece;
use herd::wire::reply::{ErrorCode, Failure};
use herd::wire::rumor::{Left, Reason, Rumor, SignedVote, Subject, Verdict};

/// Acts of one script: more teach nothing, and time is dear.
const ACTS: usize = 64;
/// The stream the liar opened, as the daemon numbers it.
const STREAM: StreamId = StreamId(2_000_000);

pub fn node(bytes: &[u8]) {
    Play::of(World::new()).run(bytes, Play::act);
}

/// Packets of the SWIM engine, from a member.
pub fn swim(bytes: &[u8]) {
    Play::of(World::new()).run(bytes, |play, script| {
        let packet = play.packet(script);
        play.world.lie(1, packet, Vec::new());
        play.world.mesh.run_ms(u64::from(script.byte()));
    });
}

/// Byte pipes of a herd with a key: a member's channel, the connections at their far ends, local
/// programs.
pub fn pipe(bytes: &[u8]) {
    let mut play = Play::of(World::in_herd(Some(HerdKey::first(&[1; 40]))));
    play.open_channel(Kind::Pipe);
    play.run(bytes, Play::pipe_act);
}

struct Play {
    world: World,
    /// The liar's end of a channel to the victim.
    session: Option<Session>,
}

impl Play {
    fn of(world: World) -> Play {
        Play { world, session: None }
    }

    /// One act after the other, and the end.
    fn run(mut self, bytes: &[u8], mut act: impl FnMut(&mut Play, &mut Script)) {
        let mut script = Script(bytes);
        for _ in 0..ACTS {
            if script.is_over() {
                break;
            }
            act(&mut self, &mut script);
            self.check_deadline();
        }
        self.end(bytes);
    }

    fn act(&mut self, script: &mut Script) {
        match script.byte() % 24 {
            16 => self.tell(script),
            17 => self.open_channel(Kind::Channel),
            18 => self.say_on_channel(script),
            19 => {
                let packet = self.packet(script);
                self.world.lie(1, packet, Vec::new());
            }
            20 => self.world.give(Input::Kept {
                ticket: script.long(),
                result: if script.byte() & 1 == 0 { Ok(()) } else { Err(script.text()) },
            }),
            21 => self.addresses(script),
            22 => self.world.give(Input::ClientGone { client: ClientId(script.long() % 16) }),
            23 => self.sleep(script),
            other => self.world.act(&plain_act(other, script)),
        }
    }

    /// The quiet after it takes most of the time: one script in four gets it.
    fn end(mut self, bytes: &[u8]) {
        if bytes.len().is_multiple_of(4) {
            self.world.settle();
        }
    }

    fn id(&self, script: &mut Script) -> NodeId {
        match script.byte() {
            number @ 0..=1 => self.world.mesh.members[usize::from(number)].who.id(),
            2 => self.world.insider.id(),
            _ => NodeId(script.long()),
        }
    }

    fn subject(&self, script: &mut Script) -> Subject {
        Subject { id: self.id(script), generation: Generation(script.long()) }
    }

    /// What the liar signs: of itself, or a verdict on somebody.
    fn tell(&mut self, script: &mut Script) {
        let insider = self.world.insider.clone();
        let identity = &insider.identity;
        let rumor = match script.byte() % 4 {
            0 => Rumor::Record(self.record(script)),
            1 => Rumor::Left(Left::sign(identity, Generation(script.long()))),
            2 => {
                let (subject, ballot) = (self.subject(script), script.long());
                let issuer = insider.id();
                let vote = SignedVote::sign(identity, subject, ballot, issuer);
                let votes = vec![vote; usize::from(script.byte() % 12)];
                let answered = u32::from(script.byte());
                let (reason, signature) = (Reason::Silent, [0; 64]);
                let verdict = Verdict {
                    subject,
                    ballot,
                    issuer,
                    reason,
                    answered,
                    votes,
                    signature,
                    ending: None,
                };
                Rumor::Verdict(verdict.sign(identity))
            }
            _ => {
                let Subject { id, generation } = self.subject(script);
                Rumor::Forget { id, generation }
            }
        };
        self.world.lie(17, codec::encode(&rumor), Vec::new());
    }

    fn record(&self, script: &mut Script) -> Vec<u8> {
        let who = &self.world.insider;
        let mut record = mesh::record(who, "insider", INSIDER);
        record.generation = Generation(script.long());
        record.sequence = script.long();
        record.instance = script.long();
        record.port = script.short();
        let flags = script.byte();
        (record.hidden, record.deadend) = (flags & 1 != 0, flags & 2 != 0);
        record.parent = (flags & 4 != 0).then(|| self.id(script));
        record.homes = (0..script.byte() % 10).map(|_| self.id(script)).collect();
        record.addresses = (0..script.byte() % 10).map(|_| script.fixed::<4>().into()).collect();
        record.sign(&who.identity)
    }

    /// A packet of the engine with a sound beginning. The codec's numbers are seven bits a byte.
    fn packet(&self, script: &mut Script) -> Vec<u8> {
        let mut packet = vec![0x80, 0x80, 0x0c, 0x80, 0x80, 0x14, 0];
        packet.push(script.byte() % 12);
        for _ in 0..script.byte() % 8 {
            match script.byte() {
                0 => packet.extend(self.id(script).to_bytes()),
                1 => packet.extend([0x80, 0x80, 0x14]),
                _ => packet.extend(script.bytes()),
            }
        }
        packet
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) {
        let bytes = [&[kind, 0, 0, 0, 1][..], payload].concat();
        self.world.give(Input::StreamFrame { stream: STREAM, bytes: &bytes });
    }

    /// The liar dials and proves itself, as any member may.
    fn open_channel(&mut self, kind: Kind) {
        let peer = address_of(INSIDER);
        self.world.give(Input::StreamOpened { stream: STREAM, peer });
        let victim = self.world.mesh.members[VICTIM].who.id();
        let header = self.world.insider.header(kind, victim);
        let identity = &self.world.insider.identity;
        let Ok((mut session, first)) = Session::open(identity, identity.herd(), &header, [9; 32])
        else {
            return;
        };
        let before = self.world.mesh.members[VICTIM].frames.len();
        self.frame(1, &[&header.to_bytes()[..], &first].concat());
        let answers = self.world.mesh.members[VICTIM].frames.split_off(before);
        let second = answers.iter().find(|(stream, frame)| *stream == STREAM && frame[0] == 2);
        let Some((_, second)) = second else { return };
        if let Ok(Read::Opened { reply: Some(third), .. }) = session.read(&second[5..]) {
            self.frame(2, &third);
            self.session = Some(session);
        }
    }

    fn pipe_act(&mut self, script: &mut Script) {
        let (pipe, client) = (PipeId(u64::from(script.byte() % 4)), ClientId(1));
        match script.byte() % 8 {
            0 | 1 => {
                let body = codec::encode(&piece(script));
                self.say(21, body);
            }
            2 | 3 => self.world.give(Input::Piece { pipe, piece: piece(script) }),
            4 => {
                let piece = piece(script);
                let opens = matches!(piece, Piece::Open(_));
                let node = ["node2", "node1", "insider"][usize::from(script.byte() % 3)];
                let scope = if opens { Scope::Node(node.to_string()) } else { Scope::Here };
                // Apart from the numbers of the world's own requests.
                let (number, command) = ((1 << 40) + pipe.0, Command::Pipe(piece));
                let request = Request { number, scope, command, timeout_ms: 0 };
                self.world.give(Input::Request { client, user: User::default(), request });
            }
            5 => self.world.give(Input::ClientGone { client }),
            6 => self.open_channel(Kind::Pipe),
            _ => {
                self.frame(3 + script.byte() % 2, &script.fixed::<4>());
                self.world.mesh.run_ms(u64::from(script.short() % 10_000));
            }
        }
    }

    fn say_on_channel(&mut self, script: &mut Script) {
        let (number, body) = (script.short(), script.bytes().to_vec());
        self.say(number, body);
    }

    fn say(&mut self, number: u16, body: Vec<u8>) {
        let Some(session) = &mut self.session else { return };
        let envelope = Envelope { number, body, ages: Vec::new(), digest: None };
        match session.write(&codec::encode(&envelope)) {
            Ok(sealed) => self.frame(2, &sealed),
            Err(_) => self.session = None,
        }
    }

    fn addresses(&mut self, script: &mut Script) {
        let mut list =
            || (0..script.byte() % 12).map(|_| script.fixed::<4>().into()).collect::<Vec<_>>();
        let (own, gateways) = (list(), list());
        self.world.give(Input::Addresses { own, gateways });
        // They are its own again, or the honest would rightly lose it.
        let own = vec![address_of(VICTIM).ip()];
        self.world.give(Input::Addresses { own, gateways: Vec::new() });
    }

    /// The host sleeps: time goes on and nothing arrives.
    fn sleep(&mut self, script: &mut Script) {
        let slept_ms = u64::from(script.short());
        self.world.mesh.now = self.world.mesh.now.plus_ms(slept_ms);
        self.world.mesh.turn(VICTIM, None);
    }

    /// What is due lies ahead: else the loop would spin.
    fn check_deadline(&mut self) {
        let now = self.world.mesh.now;
        self.world.mesh.turn(VICTIM, None);
        let deadline = self.world.mesh.members[VICTIM].node.deadline();
        assert!(deadline.is_some_and(|(at, _)| at > now), "{deadline:?} at {now:?}");
    }
}

fn piece(script: &mut Script) -> Piece {
    match script.byte() % 8 {
        0 => Piece::Open(script.short()),
        1 | 2 => Piece::Opened,
        3 => Piece::Bytes(vec![7; usize::from(script.short() % 16_384)]),
        4 => Piece::Taken(u32::from(script.short())),
        5 => Piece::Taken(u32::MAX),
        6 => Piece::End,
        _ => Piece::Failed(Failure::new(ErrorCode::Internal, script.text())),
    }
}

fn bend(script: &mut Script) -> Bend {
    match script.byte() % 4 {
        0 => Bend::Not,
        1 => Bend::Flip(
            (0..1 + script.byte() % 4).map(|_| (script.short(), script.byte())).collect(),
        ),
        2 => Bend::Cut(script.short()),
        _ => Bend::Grow(script.bytes().to_vec()),
    }
}

fn plain_act(number: u8, script: &mut Script) -> Act {
    match number {
        0 => Act::Garbage(script.bytes().to_vec()),
        1 => Act::Headed {
            kind: script.byte(),
            hops: script.byte(),
            herd: u64::from(script.byte()),
            to: script.byte(),
            from: script.byte(),
            rest: script.bytes().to_vec(),
        },
        2 => Act::Again {
            which: script.short(),
            bend: bend(script),
            from: [Source::Stranger, Source::Itself, Source::Victim]
                [usize::from(script.byte() % 3)],
        },
        3 | 4 => Act::Lie {
            number: u16::from(script.byte()),
            body: script.bytes().to_vec(),
            ages: script.bytes().to_vec(),
        },
        5 | 6 => Act::Parrot { which: script.short(), bend: bend(script) },
        7 => Act::Open(script.byte()),
        8 => Act::Frame {
            stream: script.byte(),
            kind: script.byte(),
            channel: script.byte(),
            payload: script.bytes().to_vec(),
        },
        9 => Act::Call {
            stream: script.byte(),
            channel: script.byte(),
            hops: script.byte(),
            to: script.byte(),
            from: script.byte(),
            payload: script.bytes().to_vec(),
        },
        10 => Act::End(script.byte(), script.byte()),
        11 => Act::Ask {
            scope: script.byte() % 3,
            verb: script.byte() % 9,
            text: script.text(),
            timeout_ms: script.long(),
        },
        12 => Act::Refused { which: script.short(), bend: bend(script) },
        13 => Act::Weather(script.bytes().to_vec()),
        _ => Act::Wait(script.short() % 5_000),
    }
}
