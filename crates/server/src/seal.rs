//! Sealing of codes and personal data, and the key file that opens them.
//!
//! XChaCha20-Poly1305; the row a value belongs to is its associated data, so that a sealed code moved to another
//! row does not open. This file must never draw randomness (keys and nonces are arguments), never write a key or
//! a plain text into an error, and never touch the disk (that is `key_file`). Called by the store's one reader
//! and writer of codes, by the store of personal data, and by `kiosk keys rotate`.
//!
//! A key file is text: comment lines beginning with `#`, one line `fingerprint <64 hex>`, and one or more lines
//! `key <8 hex> <64 hex>`. The last key seals; all of them open, so rotation only appends.

mod key_file;

use domain::decide::SealedPersonal;
use std::{fmt, hint, ops::Deref};

use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

pub use self::key_file::KeyFileError;
use crate::entropy::{from_base64url, from_hex, to_base64url, to_hex};

/// A key file holds a few hundred keys at most; a larger one is some other file.
const MAX_FILE_BYTES: usize = 64 * 1024;

/// Labels keep the uses of one key apart: a code that reads like a label cannot imitate it.
const CODE_LABEL: &[u8] = b"kiosk code fingerprint";
const CHECK_LABEL: &[u8] = b"kiosk key check";

/// The sealing keys of this installation. `Debug` shows key ids only.
pub struct Keyring {
    fingerprint: KeyBytes,
    /// Oldest first, never empty; the last one seals.
    keys: Vec<RingKey>,
}

/// An opened plain text. It does not print, and its memory is overwritten when it is dropped (as far as safe
/// code can: copies made from it are the caller's).
pub struct Opened(Vec<u8>);

/// Why a sealed value did not open. Never holds any part of the value except the key's public id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not of the form that [`Keyring::seal`] writes.
    #[error("the sealed value is damaged: it does not have the form keyid.nonce.ciphertext")]
    Malformed,
    /// Sealed by a key that the file does not hold.
    #[error("the key file has no key {id}; use the file that this value was sealed with, or a later one")]
    UnknownKey {
        /// Public id of the missing key.
        id: String,
    },
    /// Altered, moved to another row, or sealed by another key of the same id.
    #[error("the sealed value does not open: it was altered, or it belongs to another row or key")]
    Refused,
    /// The plain text was asked for as text and is not UTF-8.
    #[error("the opened value is not text")]
    NotText,
}

/// Why the text of a key file was refused. Never holds any part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// A line that is neither comment, fingerprint nor key.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it and what is expected.
        problem: &'static str,
    },
    /// No fingerprint line.
    #[error("no line `fingerprint <64 hexadecimal digits>`; the file is cut off or not a key file")]
    NoFingerprint,
    /// No key line.
    #[error("no line `key <8 hexadecimal digits> <64 hexadecimal digits>`; the file is cut off or not a key file")]
    NoKey,
    /// Longer than any key file.
    #[error("longer than {} bytes; this is not a key file", MAX_FILE_BYTES)]
    TooLong,
}

struct RingKey {
    id: String,
    key: KeyBytes,
}

struct KeyBytes([u8; 32]);

impl Keyring {
    /// Reads the text of a key file (form: see the module).
    ///
    /// # Errors
    /// [`KeyTextError`], naming the line.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        if text.len() > MAX_FILE_BYTES {
            return Err(KeyTextError::TooLong);
        }
        let mut fingerprint = None;
        let mut keys: Vec<RingKey> = Vec::new();
        for (index, content) in text.lines().enumerate() {
            let refuse = |problem| KeyTextError::Line { line: index + 1, problem };
            let words: Vec<&str> = content.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["fingerprint", digits] => {
                    if fingerprint.is_some() {
                        return Err(refuse("a second `fingerprint`; a key file has one, for ever"));
                    }
                    let bytes = from_hex(digits).ok_or(refuse("the fingerprint key is not 64 hexadecimal digits"))?;
                    fingerprint = Some(KeyBytes(bytes));
                }
                ["key", id, digits] => {
                    if !is_key_id(id) {
                        return Err(refuse("the key id is not 8 lower-case hexadecimal digits"));
                    }
                    if keys.iter().any(|known| known.id == *id) {
                        return Err(refuse("this key id stands in the file twice"));
                    }
                    let bytes = from_hex(digits).ok_or(refuse("the key is not 64 hexadecimal digits"))?;
                    keys.push(RingKey { id: (*id).to_owned(), key: KeyBytes(bytes) });
                }
                _ => {
                    return Err(refuse("expected `fingerprint <64 hex>`, `key <8 hex> <64 hex>` or a # comment"));
                }
            }
        }
        let fingerprint = fingerprint.ok_or(KeyTextError::NoFingerprint)?;
        if keys.is_empty() {
            return Err(KeyTextError::NoKey);
        }
        Ok(Self { fingerprint, keys })
    }

    /// Seals `plain` with the active key as `keyid.nonce.ciphertext`. `associated` names the row; `nonce` is
    /// fresh randomness and never used twice.
    pub fn seal(&self, plain: &[u8], associated: &str, nonce: [u8; 24]) -> String {
        let active = self.active();
        format!("{}.{}", active.id, seal_with(&active.key, plain, associated, nonce))
    }

    /// Opens what [`Keyring::seal`] made for the same row, with whichever key sealed it.
    ///
    /// # Errors
    /// [`SealError`]; nothing of a value that fails its check is returned.
    pub fn open(&self, sealed: &str, associated: &str) -> Result<Opened, SealError> {
        let (id, rest) = split_key_id(sealed).ok_or(SealError::Malformed)?;
        let known = self.keys.iter().find(|known| known.id == id);
        let known = known.ok_or_else(|| SealError::UnknownKey { id: id.to_owned() })?;
        open_with(&known.key, rest, associated)
    }

    /// Seals an opened value again with the active key, for the background work after a rotation.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn reseal(&self, sealed: &str, associated: &str, nonce: [u8; 24]) -> Result<String, SealError> {
        Ok(self.seal(&self.open(sealed, associated)?, associated, nonce))
    }

    /// Seals personal data under a data key of its own, which the ring seals. All three arrays are fresh
    /// randomness; the nonces are for the data key and for the data, in this order.
    pub fn seal_personal(
        &self,
        plain: &[u8],
        associated: &str,
        data_key: [u8; 32],
        nonces: ([u8; 24], [u8; 24]),
    ) -> SealedPersonal {
        let data_key = KeyBytes(data_key);
        SealedPersonal {
            key: self.seal(&data_key.0, &data_key_row(associated), nonces.0),
            body: seal_with(&data_key, plain, associated, nonces.1),
        }
    }

    /// Opens what [`Keyring::seal_personal`] made for the same row.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn open_personal(&self, sealed: &SealedPersonal, associated: &str) -> Result<Opened, SealError> {
        open_with(&self.data_key(&sealed.key, associated)?, &sealed.body, associated)
    }

    /// Seals more under the data key ([`SealedPersonal::key`]) of a row, for a row of its own: deleting that key deletes
    /// this, too.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn seal_beside(
        &self,
        key: &str,
        associated: &str,
        (plain, row): (&[u8], &str),
        nonce: [u8; 24],
    ) -> Result<String, SealError> {
        Ok(seal_with(&self.data_key(key, associated)?, plain, row, nonce))
    }

    /// Opens what [`Keyring::seal_beside`] made for the same row.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn open_beside(&self, key: &str, associated: &str, (sealed, row): (&str, &str)) -> Result<Opened, SealError> {
        open_with(&self.data_key(key, associated)?, sealed, row)
    }

    fn data_key(&self, key: &str, associated: &str) -> Result<KeyBytes, SealError> {
        let opened = self.open(key, &data_key_row(associated))?;
        <[u8; 32]>::try_from(&opened[..]).map(KeyBytes).map_err(|_| SealError::Malformed)
    }

    /// Seals a data key ([`SealedPersonal::key`]) again with the active key; the body stays as it is.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn reseal_data_key(&self, key: &str, associated: &str, nonce: [u8; 24]) -> Result<String, SealError> {
        self.reseal(key, &data_key_row(associated), nonce)
    }

    /// A keyed fingerprint of a code, 64 hexadecimal digits: equal for equal codes, useless without the key
    /// file, and unchanged by rotation. A code imported twice is found by it.
    pub fn fingerprint(&self, plain: &[u8]) -> String {
        to_hex(&mac(&self.fingerprint, CODE_LABEL, plain))
    }

    /// A text that the store keeps and compares at start, so that a wrong key file is refused. Unchanged by
    /// rotation.
    pub fn key_check(&self) -> String {
        to_hex(&mac(&self.fingerprint, CHECK_LABEL, b""))
    }

    /// Id of the key that seals now: 8 hexadecimal digits, not secret.
    pub fn active_key_id(&self) -> &str {
        &self.active().id
    }

    /// Id of the key that sealed this value; `None` when the value does not begin with one.
    pub fn key_id_of(sealed: &str) -> Option<&str> {
        split_key_id(sealed).map(|(id, _)| id)
    }

    fn active(&self) -> &RingKey {
        self.keys.last().expect("parse refuses a ring without a key")
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|known| known.id.as_str()).collect();
        formatter.debug_struct("Keyring").field("keys", &ids).finish_non_exhaustive()
    }
}

impl Opened {
    /// The plain text as UTF-8.
    ///
    /// # Errors
    /// [`SealError::NotText`].
    pub fn text(&self) -> Result<&str, SealError> {
        std::str::from_utf8(&self.0).map_err(|_| SealError::NotText)
    }
}

impl Deref for Opened {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[opened]")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites a secret; `black_box` keeps the compiler from dropping a write that nobody reads.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    hint::black_box(bytes);
}

/// The data key and the data of one row are sealed for different names, so that neither opens as the other.
fn data_key_row(associated: &str) -> String {
    format!("{associated}/data-key")
}

fn seal_with(key: &KeyBytes, plain: &[u8], associated: &str, nonce: [u8; 24]) -> String {
    let cipher = XChaCha20Poly1305::new(&Key::from(key.0));
    let message = Payload { msg: plain, aad: associated.as_bytes() };
    let ciphertext =
        cipher.encrypt(&XNonce::from(nonce), message).expect("only a message of 256 GiB and more cannot be sealed");
    format!("{}.{}", to_base64url(&nonce), to_base64url(&ciphertext))
}

fn open_with(key: &KeyBytes, sealed: &str, associated: &str) -> Result<Opened, SealError> {
    let (nonce, ciphertext) = sealed.split_once('.').ok_or(SealError::Malformed)?;
    let nonce = from_base64url(nonce).ok_or(SealError::Malformed)?;
    let nonce = <[u8; 24]>::try_from(nonce.as_slice()).map_err(|_| SealError::Malformed)?;
    let ciphertext = from_base64url(ciphertext).ok_or(SealError::Malformed)?;
    let cipher = XChaCha20Poly1305::new(&Key::from(key.0));
    let message = Payload { msg: &ciphertext, aad: associated.as_bytes() };
    cipher.decrypt(&XNonce::from(nonce), message).map(Opened).map_err(|_| SealError::Refused)
}

fn mac(key: &KeyBytes, label: &[u8], plain: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
    mac.update(label);
    mac.update(&[0]);
    mac.update(plain);
    mac.finalize().into_bytes().into()
}

fn is_key_id(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn split_key_id(sealed: &str) -> Option<(&str, &str)> {
    sealed.split_once('.').filter(|(id, _)| is_key_id(id))
}

/// The signature of Standard Webhooks 1.0: `v1,` and HMAC-SHA-256 over `id.timestamp.body`, in base64.
pub fn standard_webhooks_signature(key: &[u8], id: &str, at_seconds: i64, body: &str) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{at_seconds}.{body}").as_bytes());
    format!("v1,{}", crate::entropy::to_base64(mac.finalize().into_bytes().as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "stock_codes/17";

    fn one_key() -> String {
        format!("# a comment\n\nfingerprint {}\nkey 0000aaaa {}\n", "11".repeat(32), "22".repeat(32))
    }

    fn two_keys() -> String {
        format!("{}key 0000bbbb {}\n", one_key(), "33".repeat(32))
    }

    fn keyring(text: &str) -> Keyring {
        Keyring::parse(text).expect("a valid key file")
    }

    #[test]
    fn what_is_sealed_opens_for_its_row_alone() {
        let keys = keyring(&one_key());
        let sealed = keys.seal(b"PIN-1234", ROW, [7; 24]);
        let parts: Vec<&str> = sealed.split('.').collect();
        // 24 bytes of nonce are 32 symbols; 8 bytes and a tag of 16 are 32 symbols as well.
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 32, 32]);
        assert_eq!(parts[0], "0000aaaa");
        let opened = keys.open(&sealed, ROW).expect("the row it was sealed for");
        assert_eq!(&opened[..], b"PIN-1234");
        assert_eq!(opened.text(), Ok("PIN-1234"));
        assert_eq!(keys.open(&sealed, "stock_codes/18").err(), Some(SealError::Refused));
    }

    #[test]
    fn every_altered_symbol_is_noticed() {
        let keys = keyring(&one_key());
        let sealed = keys.seal(b"PIN-1234", ROW, [7; 24]);
        for index in 0..sealed.len() {
            let mut altered = sealed.clone().into_bytes();
            altered[index] = if altered[index] == b'b' { b'c' } else { b'b' };
            let altered = String::from_utf8(altered).expect("one ASCII symbol for another");
            assert!(keys.open(&altered, ROW).is_err(), "symbol {index}");
        }
        for cut in ["", "0000aaaa", "0000aaaa.", "0000aaaa..", "0000AAAA.a.b"] {
            assert_eq!(keys.open(cut, ROW).err(), Some(SealError::Malformed), "{cut}");
        }
        assert_eq!(keys.seal(b"", ROW, [0xff; 24]).len(), 8 + 1 + 32 + 1 + 22);
    }

    #[test]
    fn the_last_key_seals_and_every_key_opens() {
        let (old, new) = (keyring(&one_key()), keyring(&two_keys()));
        let sealed = old.seal(b"PIN", ROW, [1; 24]);
        assert_eq!(new.active_key_id(), "0000bbbb");
        assert_eq!(new.open(&sealed, ROW).expect("the old key is kept").text(), Ok("PIN"));
        let again = new.reseal(&sealed, ROW, [2; 24]).expect("it opens");
        assert_eq!(Keyring::key_id_of(&again), Some("0000bbbb"));
        assert_eq!(new.open(&again, ROW).expect("resealed").text(), Ok("PIN"));
        assert_eq!(old.open(&again, ROW).err(), Some(SealError::UnknownKey { id: "0000bbbb".to_owned() }));
        assert_eq!(Keyring::key_id_of("plain text"), None);
    }

    #[test]
    fn fingerprint_and_check_outlive_rotation_and_differ_between_installations() {
        let (old, new) = (keyring(&one_key()), keyring(&two_keys()));
        assert_eq!(old.fingerprint(b"PIN"), new.fingerprint(b"PIN"));
        assert_eq!(old.key_check(), new.key_check());
        assert_ne!(old.fingerprint(b"PIN"), old.fingerprint(b"PIN "));
        assert_ne!(old.fingerprint(b""), old.key_check());
        let foreign = keyring(&one_key().replace("1111", "1112"));
        assert_ne!(foreign.key_check(), old.key_check());
        assert_ne!(foreign.fingerprint(b"PIN"), old.fingerprint(b"PIN"));
    }

    #[test]
    fn the_fingerprint_is_hmac_sha256_by_another_library_too() {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[0x11; 32]);
        let expected = ring::hmac::sign(&key, b"kiosk code fingerprint\0PIN-1234");
        assert_eq!(keyring(&one_key()).fingerprint(b"PIN-1234"), to_hex(expected.as_ref()));
    }

    #[test]
    fn personal_data_needs_its_data_key() {
        let keys = keyring(&one_key());
        let sealed = keys.seal_personal(b"ann@example.org", "orders/9", [9; 32], ([1; 24], [2; 24]));
        let opened = keys.open_personal(&sealed, "orders/9").expect("the order it was sealed for");
        assert_eq!(opened.text(), Ok("ann@example.org"));
        assert_eq!(keys.open_personal(&sealed, "orders/8").err(), Some(SealError::Refused));

        let deleted = SealedPersonal { key: String::new(), body: sealed.body.clone() };
        assert_eq!(keys.open_personal(&deleted, "orders/9").err(), Some(SealError::Malformed));
        let other = keys.seal_personal(b"", "orders/9", [8; 32], ([3; 24], [4; 24]));
        let swapped = SealedPersonal { key: other.key, body: sealed.body.clone() };
        assert_eq!(keys.open_personal(&swapped, "orders/9").err(), Some(SealError::Refused));
        // The sealed data key does not open as an ordinary value of the same row.
        assert_eq!(keys.open(&sealed.key, "orders/9").err(), Some(SealError::Refused));

        let rotated = keyring(&two_keys());
        let key = rotated.reseal_data_key(&sealed.key, "orders/9", [5; 24]).expect("it opens");
        assert_eq!(Keyring::key_id_of(&key), Some("0000bbbb"));
        let resealed = SealedPersonal { key, body: sealed.body };
        assert_eq!(rotated.open_personal(&resealed, "orders/9").expect("same data").text(), Ok("ann@example.org"));
    }

    #[test]
    fn what_is_sealed_beside_personal_data_goes_with_its_key() {
        let keys = keyring(&one_key());
        let sealed = keys.seal_personal(b"ann@example.org", "orders/9", [9; 32], ([1; 24], [2; 24]));
        let beside =
            keys.seal_beside(&sealed.key, "orders/9", (b"0xabc", "refunds/9/0"), [3; 24]).expect("its key opens");
        let open = |key: &str, row: &str| keys.open_beside(key, "orders/9", (&beside, row));
        assert_eq!(open(&sealed.key, "refunds/9/0").expect("its own row").text(), Ok("0xabc"));
        assert_eq!(open(&sealed.key, "refunds/9/1").err(), Some(SealError::Refused));
        assert_eq!(open("", "refunds/9/0").err(), Some(SealError::Malformed));
        let other = keys.seal_personal(b"", "orders/9", [8; 32], ([3; 24], [4; 24]));
        assert_eq!(open(&other.key, "refunds/9/0").err(), Some(SealError::Refused));
    }

    #[test]
    fn a_faulty_key_file_is_refused_with_its_line_and_without_its_keys() {
        let digits = "ab".repeat(32);
        let table = [
            (format!("fingerprint {digits}\nfingerprint {digits}\nkey 0000aaaa {digits}"), "line 2: "),
            (format!("fingerprint {}\n", &digits[1..]), "line 1: "),
            (format!("# x\nfingerprint {digits}\nkey 0000AAAA {digits}"), "line 3: "),
            (format!("fingerprint {digits}\nkey 0000aaaa {digits}\nkey 0000aaaa {digits}"), "line 3: "),
            (format!("fingerprint {digits}\nkey 0000aaaa {digits} {digits}"), "line 2: "),
            (format!("{digits}\n"), "line 1: "),
            (format!("key 0000aaaa {digits}\n"), "no line `fingerprint"),
            (format!("fingerprint {digits}\n"), "no line `key"),
            ("#".repeat(MAX_FILE_BYTES + 1), "longer than"),
        ];
        for (text, beginning) in table {
            let message = Keyring::parse(&text).expect_err("a faulty file").to_string();
            assert!(message.starts_with(beginning), "{message}");
            assert!(!message.contains("abab"), "{message}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let keys = keyring(&two_keys());
        assert_eq!(format!("{keys:?}"), r#"Keyring { keys: ["0000aaaa", "0000bbbb"], .. }"#);
        let opened = keys.open(&keys.seal(b"PIN", ROW, [1; 24]), ROW).expect("it opens");
        assert_eq!(format!("{opened:?}"), "[opened]");
    }
}
