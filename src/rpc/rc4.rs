//! RC4: the stream cipher of NTLM ([MS-NLMP] 3.4.3) and of Kerberos' rc4-hmac (RFC 4757).

use std::fmt;

/// The state of one key stream. It is a secret: `Debug` does not show it.
#[derive(Clone)]
pub struct Rc4 {
    state: [u8; 256],
    i: u8,
    j: u8,
}

impl Rc4 {
    /// Begins the key stream of a key of 1 to 256 bytes; an empty key is taken as a zero byte.
    pub fn new(key: &[u8]) -> Rc4 {
        let mut state = [0u8; 256];
        for (byte, value) in state.iter_mut().zip(0u8..=255) {
            *byte = value;
        }
        let key = if key.is_empty() { &[0] } else { key };
        let mut j = 0u8;
        for (i, &byte) in (0..256).zip(key.iter().cycle()) {
            j = j.wrapping_add(state[i]).wrapping_add(byte);
            state.swap(i, usize::from(j));
        }
        Rc4 { state, i: 0, j: 0 }
    }

    /// Encrypts or decrypts the next bytes.
    pub fn apply(&mut self, data: &mut [u8]) {
        for byte in data {
            self.i = self.i.wrapping_add(1);
            let a = self.state[usize::from(self.i)];
            self.j = self.j.wrapping_add(a);
            let b = self.state[usize::from(self.j)];
            self.state.swap(usize::from(self.i), usize::from(self.j));
            *byte ^= self.state[usize::from(a.wrapping_add(b))];
        }
    }
}

impl fmt::Debug for Rc4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rc4(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_key_streams_of_rfc_6229() {
        let mut stream = [0; 16];
        Rc4::new(&[1, 2, 3, 4, 5]).apply(&mut stream);
        assert_eq!(stream, 0xb2396305f03dc027ccc3524a0a1118a8u128.to_be_bytes());
        let mut stream = [0; 16];
        Rc4::new(&(1..=16).collect::<Vec<u8>>()).apply(&mut stream);
        assert_eq!(stream, 0x9ac7cc9a609d1ef7b2932899cde41b97u128.to_be_bytes());
        let mut parts = [0; 16];
        let mut rc4 = Rc4::new(&(1..=16).collect::<Vec<u8>>());
        rc4.apply(&mut parts[..5]);
        rc4.apply(&mut parts[5..]);
        assert_eq!(parts, stream, "in parts it is the same stream");
    }

    #[test]
    fn takes_any_key() {
        Rc4::new(&[]).apply(&mut [0; 300]);
        Rc4::new(&[7; 300]).apply(&mut [0; 300]);
    }
}
