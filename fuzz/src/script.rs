//! Reads a string of bytes as a script: numbers and strings, taken one after another. Where the
//! bytes end, zeros follow.

pub struct Script<'a>(pub &'a [u8]);

impl<'a> Script<'a> {
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.fixed::<1>()[0]
    }

    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.fixed())
    }

    pub fn long(&mut self) -> u64 {
        u64::from_be_bytes(self.fixed())
    }

    /// Two bytes of length, and as many bytes as there are of it.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.short()).min(self.0.len());
        self.take(length)
    }

    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub fn fixed<const LENGTH: usize>(&mut self) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        let taken = self.take(LENGTH.min(self.0.len()));
        out[..taken.len()].copy_from_slice(taken);
        out
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}
