//! Opens the messages of one session, and finds what was not told: the cipher, and which direction key is which.

use super::kdf::{Binding, DirectionKeys, direction_keys};
use super::transform::{Cipher, open};

/// Messages that may fail before the first that opens; after so many the keys count as wrong and cost no more time. More than one, as the first
/// messages may be of another session that had the same id.
pub const WRONG_MESSAGES_MAX: u32 = 32;

/// The keys of one session at work.
///
/// Until a message has opened, each is tried with the ciphers that fit and with both keys: key lists may have them in either order (tshark takes
/// both), and the NEGOTIATE answer may be missing. After that only with what fitted. `Debug` shows no key.
#[derive(Clone, Debug)]
pub struct Opener {
    keys: DirectionKeys,
    cipher: Option<Cipher>,
    /// Whether the keys turned out to be exchanged; `None` until a message has opened.
    exchanged: Option<bool>,
    wrong: u32,
}

impl Opener {
    /// With direction keys; `cipher` is what the NEGOTIATE answer chose (SMB 3.0 and 3.0.2: AES-128-CCM), where it was seen.
    pub fn new(keys: DirectionKeys, cipher: Option<Cipher>) -> Opener {
        Opener { keys, cipher, exchanged: None, wrong: 0 }
    }

    /// With a session key where neither dialect nor cipher were seen. SMB 3.0 and 3.0.2 derive from nothing else, so that their sessions open; keys
    /// of SMB 3.1.1 cannot be had, and its messages count as wrong.
    pub fn without_negotiation(session_key: &[u8]) -> Opener {
        Opener::new(direction_keys(session_key, Cipher::Aes128Ccm, Binding::Fixed), Some(Cipher::Aes128Ccm))
    }

    /// The message sealed in an encrypted one. `None` where nothing fits.
    pub fn open(&mut self, transform: &[u8], to_server: bool) -> Option<Vec<u8>> {
        if self.exchanged.is_none() && self.wrong >= WRONG_MESSAGES_MAX {
            return None;
        }
        for cipher in Cipher::ALL {
            if self.cipher.is_some_and(|known| known != cipher) {
                continue;
            }
            for exchanged in [false, true] {
                if self.exchanged.is_some_and(|known| known != exchanged) {
                    continue;
                }
                let key = if to_server != exchanged { &self.keys.to_server } else { &self.keys.to_client };
                if let Some(message) = open(transform, key, cipher) {
                    self.cipher = Some(cipher);
                    // With both keys alike nothing is learnt, nor lost.
                    self.exchanged = Some(exchanged);
                    return Some(message);
                }
            }
        }
        self.wrong = self.wrong.saturating_add(1);
        None
    }

    /// Whether a message has opened: the keys are right.
    pub fn is_proven(&self) -> bool {
        self.exchanged.is_some()
    }

    /// Messages that did not open.
    pub fn wrong(&self) -> u32 {
        self.wrong
    }
}
