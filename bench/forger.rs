//! Forged joins for `bench/faults`: as many invented identities as asked for greet one node from one
//! address, each from a port of its own; those that are answered prove themselves. Prints how many
//! were sent, answered and told that they are taken.
//!
//! forger VICTIM:PORT SOURCE_ADDRESS COUNT

mod invented;

use invented::Invented;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// So many greetings are sent before the answer to the first of them is looked for.
const UNDER_WAY: usize = 64;
/// A probe of a path: any body under the seal proves its sender.
const PROBE: (u16, [u8; 2]) = (9, [0x81, 0x05]);

/// One that greeted and may have been answered.
struct Greeted {
    forged: Invented,
    socket: UdpSocket,
}

fn greet(number: u64, source: IpAddr, victim: SocketAddr) -> std::io::Result<Greeted> {
    let (forged, socket) = (Invented::new(number, source), UdpSocket::bind((source, 0))?);
    socket.set_nonblocking(true)?;
    socket.send_to(&forged.question(), victim)?;
    Ok(Greeted { forged, socket })
}

/// Whether it was answered, and whether it was taken in and proved itself.
fn prove(one: &Greeted, victim: SocketAddr) -> std::io::Result<(bool, bool)> {
    let mut buffer = [0; 2_048];
    let Ok(length) = one.socket.recv(&mut buffer) else { return Ok((false, false)) };
    let Some(met) = one.forged.met(&buffer[..length]) else { return Ok((true, false)) };
    let proof = one.forged.sealed(&met, 1, PROBE.0, PROBE.1.to_vec());
    one.socket.send_to(&proof, victim)?;
    Ok((true, true))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [victim, source, count] = &words[..] else {
        return Err("usage: forger VICTIM:PORT SOURCE_ADDRESS COUNT".into());
    };
    let (victim, source) = (victim.parse()?, source.parse()?);
    let (mut answered, mut taken) = (0, 0);
    let (count, mut under_way): (u64, _) = (count.parse()?, VecDeque::new());
    for number in 0..count + UNDER_WAY as u64 {
        if number < count {
            under_way.push_back(greet(number, source, victim)?);
        }
        if under_way.len() >= UNDER_WAY || number >= count {
            let Some(one) = under_way.pop_front() else { break };
            let (answer, proof) = prove(&one, victim)?;
            answered += u64::from(answer);
            taken += u64::from(proof);
        }
    }
    println!("sent {count} answered {answered} taken {taken}");
    Ok(())
}
