//! Known faults of programs of this kind, each as a test of what would be the same fault here. Named
//! after the neighbour and the fault; SECURITY.md has the table.

mod common;
#[path = "limits/crowd.rs"]
mod crowd;
mod mesh;

use common::Daemon;
use crowd::{VICTIM, address, alone, give, greet, heard, join, say, who};
use herd::wire::codec::FrameReader;
use herd::wire::command::{Command, Scope};
use herd::wire::header::{Header, Kind};
use herd::wire::key::HerdKey;
use herd::wire::keyring::Keyring;
use herd::wire::limits::*;
use herd::wire::message::{Answer, Body, Envelope, Nonce};
use herd::wire::reply::Reply;
use herd::wire::{codec, refusal::Outside};
use mesh::{Mesh, Who};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A node and a member of its herd who says what he likes.
struct Pair {
    mesh: Mesh,
    member: Who,
    at: SocketAddr,
    counter: u64,
}

impl Pair {
    fn new() -> Pair {
        let (mut mesh, member, at) = (alone(), who(7), address(1, 4_040));
        assert_eq!(join(&mut mesh, &member, at).expect("an answer").refused, None);
        Pair { mesh, member, at, counter: 100 }
    }

    /// He says this, inside an authentic seal; what he is answered.
    fn say_plain(&mut self, plain: &[u8]) -> Vec<Body> {
        self.counter += 1;
        let victim = self.mesh.members[VICTIM].who.clone();
        let since = self.mesh.sent.len();
        give(&mut self.mesh, self.at, &self.member.seal(&victim, self.counter, plain));
        heard(&self.mesh, &self.member, since)
    }

    fn say_body(&mut self, number: u16, body: &[u8]) -> Vec<Body> {
        let body = body.to_vec();
        self.say_plain(&codec::encode(&Envelope { number, body, ages: Vec::new(), digest: None }))
    }

    /// It lives, hears him, and has no third node in its list.
    fn require_sound(&mut self) {
        let nonce = Nonce { nonce: self.counter };
        let answered = self.say_body(Body::Probe(nonce).number(), &codec::encode(&nonce));
        assert!(answered.contains(&Body::ProbeAnswer(nonce)), "{answered:?}");
        assert_eq!(self.mesh.list(VICTIM).len(), 2);
    }
}

/// kB that this process has reserved at most.
fn reserved_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    peak.split_whitespace().next().unwrap().parse().unwrap()
}

/// A check said "well" of what was too short.
#[test]
fn corosync_cve_2026_35091_what_is_too_short_is_not_taken() {
    let mut pair = Pair::new();
    let victim = pair.mesh.members[VICTIM].who.clone();
    let nonce = Nonce { nonce: 1 };
    let (number, body) = (Body::Probe(nonce).number(), codec::encode(&nonce));
    let plain = codec::encode(&Envelope { number, body, ages: Vec::new(), digest: None });
    let sealed = pair.member.seal(&victim, 50, &plain);
    for length in 0..sealed.len() {
        let since = pair.mesh.sent.len();
        give(&mut pair.mesh, pair.at, &sealed[..length]);
        assert_eq!(heard(&pair.mesh, &pair.member, since), [], "{length} bytes of a datagram");
    }
    // The same inside the seal, where everybody is a member.
    for length in 0..plain.len() {
        assert_eq!(pair.say_plain(&plain[..length]), [], "{length} bytes of an envelope");
    }
    let refusal = Outside::NoKey
        .refusal(&Header::new(Kind::HelloQuestion, victim.id(), who(8).id()), &[1; 24]);
    let refusal = refusal.unwrap();
    for length in 0..refusal.len() {
        let read = Header::parse(&refusal[..length]).ok().and_then(|(_, rest)| Outside::read(rest));
        assert_eq!(read, None, "{length} bytes of a refusal");
    }
    pair.require_sound();
}

/// 0x80000000 and 0x80000000 are 0 in 32 bits: two sizes that passed a check together.
#[test]
fn corosync_cve_2026_35092_sizes_that_wrap_are_refused() {
    let before_kb = reserved_kb();
    for size in [FRAME_BYTES as u32 + 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX] {
        let mut reader = FrameReader::default();
        reader.push(&[size.to_be_bytes(), size.to_be_bytes()].concat());
        assert!(reader.next(FRAME_BYTES).unwrap_err().contains("over the limit"), "{size:x}");
    }
    let mut pair = Pair::new();
    let sizes = [1 << 31, u64::from(u32::MAX), 1 << 32, 1 << 63, u64::MAX - 7, u64::MAX];
    for size in sizes {
        // Text, bytes, arrays and maps of this size, and two of them behind each other.
        for kind in [0x5b, 0x7b, 0x9b, 0xbb] {
            let one = [&[kind][..], &size.to_be_bytes()].concat();
            let two = [&[0x82][..], &one, &one].concat();
            for number in (0..=20).chain([112, 113]) {
                for bytes in [&one[..], &two, &[&[0x84, 0x01][..], &one].concat()] {
                    pair.say_body(number, bytes);
                }
            }
            pair.say_plain(&[&[0x84, 0x01][..], &one].concat());
        }
    }
    pair.require_sound();
    let more_kb = reserved_kb() - before_kb;
    assert!(more_kb < 1 << 20, "{more_kb} kB were reserved");
}

/// 198,106 bytes became 256 MiB. Nothing here is compressed, and nothing that could be is linked in.
#[test]
fn memberlist_issue_362_there_is_nothing_to_decompress() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let names: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert!(names.len() > 50);
    let parts = [
        "flate", "deflate", "miniz", "zlib", "lzw", "weezl", "zstd", "brotli", "snap", "lz4",
        "lzma", "bzip",
    ];
    let found: Vec<_> =
        names.iter().filter(|name| parts.iter().any(|part| name.contains(part))).collect();
    assert!(found.is_empty(), "{found:?}");
}

/// A count in a header, and a length of a message, that were believed; a version array of fewer
/// numbers than expected, and an empty buffer, that ended the process.
#[test]
fn memberlist_2026_counts_short_arrays_and_empty_buffers() {
    let mut pair = Pair::new();
    let items = [0x00, 0x18, 0xff, 0x40, 0x41, 0x60, 0x80, 0xa0, 0xf6, 0xff];
    for number in (0..=20).chain([112, 113, 200, u16::MAX]) {
        pair.say_body(number, &[]);
        for count in 0..=16_u8 {
            for item in items {
                // Too few, as many as it says, too many.
                for there in [0, 1, count, count + 1] {
                    let body = [&[0x80 | count][..], &vec![item; usize::from(there)]].concat();
                    pair.say_body(number, &body);
                }
            }
        }
    }
    for plain in [&[][..], &[0x80], &[0x81, 0x01], &[0x82, 0x01, 0x40], &[0x83, 0x01, 0x40, 0x40]] {
        pair.say_plain(plain);
    }
    give(&mut pair.mesh, pair.at, &[]);
    pair.require_sound();
}

/// Who is on a link was believed without a look at where it came from. Here neither an address nor an
/// id says who speaks.
#[test]
fn kronosnet_cve_2026_15812_an_address_and_an_id_prove_nothing() {
    let mut pair = Pair::new();
    let (victim, other) = (pair.mesh.members[VICTIM].who.clone(), who(8));
    let plain = |number: u64| {
        let nonce = Nonce { nonce: number };
        let (number, body) = (Body::Probe(nonce).number(), codec::encode(&nonce));
        codec::encode(&Envelope { number, body, ages: Vec::new(), digest: None })
    };
    pair.mesh.run_ms(900);
    let seen_ms = |pair: &mut Pair| {
        let id = pair.member.id();
        pair.mesh.list(VICTIM).iter().find(|row| row.id == id).unwrap().last_seen_ms
    };
    let before_ms = seen_ms(&mut pair);
    let since = pair.mesh.sent.len();
    for from in [pair.at, address(2, 7)] {
        // His id in the header, from his address, under keys that are not his.
        let header = pair.member.header(Kind::Sealed, victim.id());
        let sealed = other.key_with(&victim).seal(&header, 900, [1; 16], &plain(900));
        give(&mut pair.mesh, from, &sealed);
        // A datagram of another, with his id written over it.
        let mut sealed = other.seal(&victim, 901, &plain(901));
        sealed[24..32].copy_from_slice(&pair.member.id().to_bytes());
        give(&mut pair.mesh, from, &sealed);
    }
    assert_eq!(pair.mesh.counter(VICTIM, "forged"), 4);
    assert_eq!(heard(&pair.mesh, &pair.member, since), []);
    assert!(seen_ms(&mut pair) >= before_ms, "it was heard");
    // And an open hello in his name does not pass for his.
    let mut hello = Who { identity: other.identity.clone(), ..other.clone() };
    hello.start_counter = pair.member.start_counter;
    assert!(greet(&mut pair.mesh, &hello, pair.at).is_some());
    pair.require_sound();
}

/// A fragment's number was an index, unchecked.
#[test]
fn kronosnet_cve_2026_15813_parts_of_any_number_in_any_order() {
    let mut pair = Pair::new();
    let since = pair.mesh.sent.len();
    let asked = pair.mesh.request(VICTIM, Scope::Node(pair.member.id().to_string()), Command::Ping);
    pair.mesh.run_ms(10);
    let asks = heard(&pair.mesh, &pair.member, since).into_iter();
    let mut numbers = asks.filter_map(|body| match body {
        Body::Ask(ask) => Some(ask.number),
        _ => None,
    });
    let number = numbers.next().expect("he is asked");
    let most = PARTS as u16;
    for part in [u16::MAX, most, most + 1, 0x8000, 1, 1] {
        for number in [number, number.wrapping_add(1), u64::MAX] {
            pair.counter += 1;
            let answer = Answer { number, part, last: part == most, reply: Reply::Pong };
            say(&mut pair.mesh, &pair.member, pair.at, pair.counter, &Body::Answer(answer));
        }
    }
    assert!(pair.mesh.counter(VICTIM, "answer parts over their limit") >= 4);
    assert_eq!(pair.mesh.parts(VICTIM, asked).len(), 0, "the first part is not there yet");
    for (part, last) in [(2, true), (0, false)] {
        pair.counter += 1;
        let answer = Answer { number, part, last, reply: Reply::Pong };
        say(&mut pair.mesh, &pair.member, pair.at, pair.counter, &Body::Answer(answer));
    }
    let parts = pair.mesh.parts(VICTIM, asked);
    assert_eq!(parts.iter().map(|part| part.done).collect::<Vec<_>>(), [false, false, true]);
    pair.require_sound();
}

/// The byte of a secret at this place: made when it is compared, so that the search finds nothing of
/// its own.
fn byte_of_secret(at: usize) -> u8 {
    (at as u8).wrapping_mul(37).wrapping_add(101) ^ (at as u8) << 2
}

/// Places in this process where the secret stands.
fn found_in_memory() -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (low, high) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [low, high] = [low, high].map(|end| u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; (high - low) as usize];
        if memory.seek(SeekFrom::Start(low)).is_err() || memory.read_exact(&mut bytes).is_err() {
            continue;
        }
        let is_it = |window: &[u8]| (0..32).all(|at| window[at] == byte_of_secret(at));
        let places = bytes.windows(32).enumerate().filter(|(_, window)| is_it(window));
        found.extend(places.map(|(at, _)| format!("{:x} in {line}", low + at as u64)));
        bytes.fill(0);
    }
    found
}

#[inline(never)]
fn with_old_key(then: impl Fn(&Keyring)) -> Keyring {
    let mut ring = Keyring::from(Some(HerdKey::first(&[1; 40])));
    let mut secret = [0; 32];
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = byte_of_secret(at);
    }
    ring.make(secret, &[], 100);
    secret.fill(0);
    std::hint::black_box(&secret);
    then(&ring);
    for epoch in 0..3 {
        ring.make([epoch; 32], &[], 200);
    }
    ring.retire(u64::MAX);
    ring
}

/// Works on the stack as any caller would, over what was there.
#[inline(never)]
fn use_the_stack() -> u64 {
    let bytes = std::hint::black_box([7_u8; 64 << 10]);
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

/// After a change of keys the old one stayed in freed memory.
#[test]
fn kronosnet_cve_2026_15811_a_retired_key_is_gone_from_memory() {
    let ring = with_old_key(|_| assert!(!found_in_memory().is_empty(), "the search finds nothing"));
    assert!(use_the_stack() > 0);
    let found = found_in_memory();
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(ring.len(), 1);
}

/// Connections that say nothing, or little, were held without end.
#[test]
fn consul_cve_2020_7219_streams_that_say_nothing_are_few_and_short() {
    let daemon = Daemon::start("node1");
    let to = SocketAddr::from((daemon.address, 4_040));
    let began = Instant::now();
    let mut open: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(to).unwrap()).collect();
    let mut most = 0;
    while !open.is_empty() {
        daemon.daust(&["ping"]).expect_out("pong\n");
        open.retain_mut(|stream| {
            stream.set_nonblocking(true).unwrap();
            let mut byte = [0];
            matches!(stream.read(&mut byte), Err(e) if e.kind() == ErrorKind::WouldBlock)
        });
        if began.elapsed() > Duration::from_millis(1_500) {
            most = most.max(open.len());
        }
        let patience = Duration::from_millis(UNPROVED_MS) + Duration::from_secs(20);
        assert!(began.elapsed() < patience, "{} are open", open.len());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!((1..=UNPROVED_STREAMS_PER_SOURCE).contains(&most), "{most} were held at once");
}
