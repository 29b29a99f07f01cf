//! Writes the seeds of the corpus anew, from tests/recorded and by hand:
//! `cargo run --bin seeds` in fuzz/. What fuzzers found beside them stays.

use herd::wire::codec;
use herd::wire::header::{HEADER_BYTES, Header, Kind};
use herd::wire::hello::Hello;
use herd::wire::message::{Body, Envelope};
use herd::wire::rumor::Rumor;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Name of a target and of a seed; a seed of the same name replaces the one before.
type Seeds = BTreeMap<(&'static str, String), Vec<u8>>;

fn main() {
    let mut seeds = Seeds::new();
    from_recording(&mut seeds);
    by_hand(&mut seeds);
    for ((target, name), bytes) in seeds {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join(format!("seed-{name}")), bytes).expect("a file");
    }
}

fn from_recording(seeds: &mut Seeds) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recorded/version-1.txt");
    let text = fs::read_to_string(path).expect("the recording");
    let mut item = "";
    for line in text.lines() {
        match line.split_once(' ') {
            _ if !line.starts_with(' ') => item = line.split(' ').next().unwrap_or(""),
            Some(("", rest)) => {
                let (field, value) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
                if let Some(bytes) = from_hex(value) {
                    take(seeds, item, field, bytes);
                }
            }
            _ => {}
        }
    }
}

fn take(seeds: &mut Seeds, item: &str, field: &str, bytes: Vec<u8>) {
    match (item, field) {
        ("request" | "part", "plain") => {
            let number = seeds.len();
            seeds.insert(("control", format!("{item}-{number}")), codec::frame(&bytes));
        }
        ("datagram" | "envelope", "plain") => envelope(seeds, bytes),
        (_, "sealed") => sealed(seeds, bytes),
        ("node", peer) if peer.starts_with("peer/") => {
            // A start counter of eight bytes, key and value by their lengths.
            let key = [&[2, 0, peer.len() as u8][..], peer.as_bytes(), &[1]].concat();
            let length = (bytes.len() as u16).to_be_bytes();
            let script = [&[0, 0, 0, 0, 0, 0, 0, 9][..], &key, &length, &bytes].concat();
            seeds.insert(("kept", "peer".to_string()), script);
        }
        _ => {}
    }
}

fn envelope(seeds: &mut Seeds, bytes: Vec<u8>) {
    let Ok(envelope) = codec::decode::<Envelope>(&bytes) else { return };
    let number = envelope.number;
    match Body::decode(number, &envelope.body) {
        Some(Ok(Body::Tell(rumor))) => {
            let kind = format!("{rumor:?}").split(['(', ' ']).next().unwrap_or("").to_lowercase();
            if let Rumor::Record(signed) = &rumor {
                seeds.insert(("record", "told".to_string()), signed.clone());
            }
            seeds.insert(("rumor", kind), codec::encode(&rumor));
        }
        Some(Ok(Body::Swim(packet))) => {
            // Behind the four numbers of the beginning: the kind, and one part as it came.
            let length = (packet.len().saturating_sub(8) as u16).to_be_bytes();
            let kind = packet.get(7).copied().unwrap_or(0);
            let script =
                [&[kind, 1, 2][..], &length, packet.get(8..).unwrap_or(&[]), &[200]].concat();
            seeds.insert(("swim", format!("recorded-{kind}")), script);
        }
        _ => {}
    }
    seeds.insert(("message", number.to_string()), bytes);
}

fn sealed(seeds: &mut Seeds, bytes: Vec<u8>) {
    let Ok((header, rest)) = Header::parse(&bytes) else { return };
    if matches!(header.kind, Kind::HelloQuestion | Kind::HelloAnswer)
        && let Ok(hello) = codec::decode::<Hello>(rest)
    {
        seeds.insert(("record", format!("{:?}", header.kind)), hello.record.clone());
        seeds.insert(("hello", format!("{:?}", header.kind)), codec::encode(&hello));
    }
    let short = bytes[..bytes.len().min(HEADER_BYTES + 64)].to_vec();
    seeds.insert(("header", format!("{:?}", header.kind)), short);
}

fn by_hand(seeds: &mut Seeds) {
    let mut put = |target, name: &str, bytes: &[u8]| {
        seeds.insert((target, name.to_string()), bytes.to_vec());
    };
    put("noise", "honest", &[0, 1, 0].repeat(6));
    put("noise", "bent", &[0, 1, 0, 0, 1, 0, 0, 2, 0, 1]);
    let key = "herd1-00000-0F9ST-Q470H-FKEGZ-3NKX4-BMVCW-16S06-BV04D-6QZFQ-X03GX-TYW45-PGC5N-\
               AG6AH-VX2QA-ZQV7Y-3QP8G";
    put("key", "key", key.as_bytes());
    put("key", "lines", format!("{}\r\n{}", &key[..40], &key[40..]).to_lowercase().as_bytes());
    put("key", "damaged", key.replace("3QP8G", "3QP8H").as_bytes());
    let token = "join1-6QFB8Z-42D7WB-SR07FV-Y67R5W-FVRFYD-QZ3VA0-4HDHG2-3NDZ8Z";
    put("key", "token", token.as_bytes());
    put("key", "join-answer", &[&[1, 7][..], &[0; 202]].concat());
    put("words", "verbs", b"remote\nnode1\nlist");
    put("words", "all", b"all\nping\n--\nall");
    put("words", "forget", b"forget\nvm 4");
    put("words", "wrong", b"lits\nremote");
    put("options", "all", OPTIONS.as_bytes());
    put("options", "threshold", b"consensus_treshold = 3\nkeynode = '[fd00::1]:7'\n");
    put("state", "as-it-was", &[0, 0]);
    put("state", "cut", &[0x02, 0]);
    put("state", "bent", &[0, 0, 0, 0, 20, 0xff, 0, 0, 64, 0xff, 0, 16, 0, 1]);
    let entry = |number: u8| {
        let ends = [&[0; 7][..], &[number], &[0; 7], &[number]].concat();
        let text = |text: &str| [&[0, text.len() as u8][..], text.as_bytes()].concat();
        let texts = [text("anna"), vec![7], text("stop"), text("not by you"), vec![0, 3]].concat();
        [&[3, 0, 0, number, 2, 0, 0, 0, 0, 0x69, 0, 0, 0, 0][..], &texts, &ends].concat()
    };
    let journal = [&[0, 0, 0, 0, 0, 0, 0, 9][..], &entry(1), &entry(2), &entry(1)].concat();
    put("kept", "journal", &journal);
    // A key for an open herd, and whom its people named.
    let gift = [&[0, 113, 0x87, 7, 2, 0x58, 32][..], &[9; 32], &[0x80, 2, 0x82, 1, 2, 0x19, 2, 88]];
    put("message", "adopted", &gift.concat());
    put("message", "key-pull", &[0, 112, 0x80]);
    put("kept", "bent-peer", &[0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 5, 1]);
    for number in 0..24 {
        // The act, and numbers that mean something to most.
        let act = [number, 0, 3, 1, 0, 2, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        put("node", &format!("act-{number}"), &act);
    }
    // A channel, what is said on it, and time.
    let pull = [&[17, 18, 0, 4, 0, 3, 0x81, 0x81, 0x00, 14, 3, 232][..], &[18, 0, 13, 0, 1, 0x80]];
    put("node", "channel", &pull.concat());
    // Open, opened, bytes and their taking both ways, the end of both.
    let called: [&[u8]; 8] = [
        &[0, 0, 0, 0, 22],
        &[1, 2, 1],
        &[0, 0, 3, 0, 9],
        &[1, 2, 4, 0, 9],
        &[1, 2, 3, 0, 5],
        &[0, 0, 4, 0, 5],
        &[0, 0, 6],
        &[1, 2, 6, 0],
    ];
    put("pipe", "called", &called.concat());
    put(
        "pipe",
        "caller",
        &[1, 4, 0, 0, 22, 0, 0, 7, 0, 0, 0, 0, 0, 3, 232, 1, 4, 3, 0, 9, 0, 1, 5, 0, 6],
    );
    for kind in 0..12 {
        put("swim", &format!("kind-{kind}"), &[kind, 3, 2, 0, 1, 7, 0, 1, 1, 100]);
    }
}

/// Every key of the configuration.
const OPTIONS: &str = "daemon = false\nname = 'vm 4'\niface = 'eth0'\nbind = '127.0.0.2'\n\
     port = 5000\nkeynode = ['10.0.0.1', 'box:9', '[::1]:7']\npublicface = '1.2.3.4'\n\
     deadend = true\nopen-public = false\nkey-file = '/k'\nlogfile = '/l'\nstate-dir = '/s'\nsocket = '/c'\n\
     consensus_threshold = 0.5\ntimeout = 250\n";

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (!digits.is_empty() && digits.len().is_multiple_of(2))
        .then(|| (0..digits.len()).step_by(2).map(pair).collect())?
}
