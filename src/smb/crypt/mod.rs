//! Decryption of SMB3 messages: the hash and the keys of a session, and the opening of a TRANSFORM_HEADER. Pure functions; who keeps which keys is
//! the caller's. A message whose tag is wrong yields nothing.

mod kdf;
mod opener;
mod preauth;
mod transform;

pub use kdf::{Binding, DirectionKeys, PreauthHash, SESSION_KEY_BYTES, derive, direction_keys};
pub use opener::{Opener, WRONG_MESSAGES_MAX};
pub use preauth::Preauth;
pub use transform::{Cipher, HEADER_BYTES, PROTOCOL_ID, TransformHeader, is_encrypted, open};

#[cfg(test)]
mod tests;
