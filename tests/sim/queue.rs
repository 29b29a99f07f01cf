//! What is to happen, in order of virtual time; what is scheduled first for one moment happens
//! first, so that a seed always gives the same run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub struct Queue<E> {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    slots: Vec<Option<E>>,
    free: Vec<u32>,
    order: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), order: 0 }
    }
}

impl<E> Queue<E> {
    pub fn push(&mut self, at_us: u64, event: E) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some(event);
        self.heap.push(Reverse((at_us, self.order, slot)));
        self.order += 1;
    }

    pub fn next_us(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_us, _, _))| *at_us)
    }

    pub fn pop(&mut self) -> Option<(u64, E)> {
        let Reverse((at_us, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let event = self.slots[slot as usize].take().expect("each slot is taken once");
        Some((at_us, event))
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }
}

#[test]
fn events_come_in_order_of_time_then_of_scheduling() {
    let mut queue = Queue::default();
    for (at_us, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b')] {
        queue.push(at_us, event);
    }
    let order: Vec<char> = std::iter::from_fn(|| queue.pop().map(|(_, event)| event)).collect();
    assert_eq!(order, ['a', 'b', 'c', 'd']);
    assert_eq!(queue.len(), 0);
}
