//! Passwords as they are kept: argon2id, hashed beside the threads that serve requests.
//!
//! Each hash takes 19 MiB and tens of milliseconds, so that two are made at a time and a few wait; who comes after them is
//! asked to come back. Must never keep or log a password. Called by the exchange API's sign-in.

use crate::entropy::{from_base64url, to_base64url};
use crate::secret::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// What OWASP asks of argon2id at least: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes that are made at a time, and fewer where orders would lose their processor.
const AT_A_TIME: usize = 2;
/// Callers that are served or wait, all together and of one visitor.
const MOST_WAITING: usize = 32;
const MOST_OF_ONE: usize = 2;

/// As many wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked; try again in a moment")]
pub struct Crowded;

/// Where passwords are hashed.
pub struct Passwords {
    waiting: Arc<Semaphore>,
    working: Arc<Semaphore>,
    visitors: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// A visitor's place among those who wait; given back when it is dropped.
struct Place {
    visitor: String,
    visitors: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut visitors = self.visitors.lock().expect("nobody panics while counting");
        let left = visitors.remove(&self.visitor).unwrap_or(1) - 1;
        if left > 0 {
            visitors.insert(std::mem::take(&mut self.visitor), left);
        }
    }
}

impl Default for Passwords {
    fn default() -> Passwords {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let at_a_time = AT_A_TIME.min(processors.saturating_sub(1)).max(1);
        Passwords {
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            working: Arc::new(Semaphore::new(at_a_time)),
            visitors: Arc::default(),
        }
    }
}

impl Passwords {
    /// A password as it is kept: `argon2id$<KiB>$<passes>$<lanes>$<salt>$<hash>`.
    pub async fn hash(&self, visitor: &str, password: Secret<String>, salt: [u8; 16]) -> Result<String, Crowded> {
        self.work(visitor, move || Kept::new(password.expose(), salt).to_text()).await
    }

    /// Whether it is the password that was kept. Without one the same work is done: the time that it takes does not tell
    /// whether there is an account.
    pub async fn fits(
        &self,
        visitor: &str,
        password: Secret<String>,
        kept: Option<Secret<String>>,
    ) -> Result<bool, Crowded> {
        self.work(visitor, move || match kept.as_ref().and_then(|kept| Kept::parse(kept.expose())) {
            Some(kept) => kept.fits(password.expose()),
            None => {
                // One hash, as above; its answer is dropped.
                drop(Kept::new(password.expose(), [0; 16]));
                false
            }
        })
        .await
    }

    fn place_of(&self, visitor: &str) -> Result<Place, Crowded> {
        let mut visitors = self.visitors.lock().expect("nobody panics while counting");
        let count = visitors.entry(visitor.to_owned()).or_default();
        // Behind a proxy that nobody named, all visitors look alike.
        if *count >= MOST_OF_ONE && !visitor.is_empty() {
            return Err(Crowded);
        }
        *count += 1;
        Ok(Place { visitor: visitor.to_owned(), visitors: self.visitors.clone() })
    }

    async fn work<T: Send + 'static>(
        &self,
        visitor: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Crowded> {
        let place = self.place_of(visitor)?;
        let _waits = self.waiting.clone().try_acquire_owned().map_err(|_| Crowded)?;
        let works = self.working.clone().acquire_owned().await.map_err(|_| Crowded)?;
        // The place is given back by the work itself: a caller that goes away does not make room for a third.
        let worked = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((works, place));
            done
        });
        worked.await.map_err(|_| Crowded)
    }
}

/// A hash with what it was made with.
struct Kept {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Kept {
    fn new(password: &str, salt: [u8; 16]) -> Kept {
        let empty =
            Kept { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt: salt.to_vec(), hash: Vec::new() };
        let hash = empty.hash_of(password).expect("our own parameters are valid");
        Kept { hash: hash.to_vec(), ..empty }
    }

    fn hash_of(&self, password: &str) -> Option<[u8; 32]> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()?;
        let mut hash = [0; 32];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(password.as_bytes(), &self.salt, &mut hash).ok()?;
        Some(hash)
    }

    fn fits(&self, password: &str) -> bool {
        self.hash_of(password).is_some_and(|hash| bool::from(hash.as_slice().ct_eq(self.hash.as_slice())))
    }

    fn to_text(&self) -> String {
        let (salt, hash) = (to_base64url(&self.salt), to_base64url(&self.hash));
        format!("argon2id${}${}${}${salt}${hash}", self.memory_kib, self.passes, self.lanes)
    }

    fn parse(text: &str) -> Option<Kept> {
        let parts: Vec<&str> = text.split('$').collect();
        let ["argon2id", memory_kib, passes, lanes, salt, hash] = parts.as_slice() else { return None };
        Some(Kept {
            memory_kib: memory_kib.parse().ok()?,
            passes: passes.parse().ok()?,
            lanes: lanes.parse().ok()?,
            salt: from_base64url(salt)?,
            hash: from_base64url(hash)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_and_no_other() {
        let passwords = Passwords::default();
        let kept = passwords.hash("a", secret("correct horse"), [7; 16]).await.expect("room");
        assert!(kept.starts_with("argon2id$19456$2$1$") && !kept.contains("horse"), "{kept}");
        assert_eq!(passwords.fits("a", secret("correct horse"), Some(secret(&kept))).await, Ok(true));
        assert_eq!(passwords.fits("a", secret("correct horsf"), Some(secret(&kept))).await, Ok(false));
        for damaged in ["", "argon2id$1$1", "argon2id$0$0$0$AA$AA"] {
            assert_eq!(passwords.fits("a", secret(""), Some(secret(damaged))).await, Ok(false), "{damaged}");
        }
        assert_eq!(passwords.fits("a", secret("nobody's password"), None).await, Ok(false));
    }

    #[tokio::test]
    async fn who_comes_after_too_many_is_sent_away() {
        let passwords = Passwords::default();
        let all = passwords.waiting.clone().acquire_many_owned(MOST_WAITING as u32).await.expect("open");
        assert_eq!(passwords.hash("a", secret("x"), [0; 16]).await, Err(Crowded));
        drop(all);
        assert!(passwords.hash("a", secret("x"), [0; 16]).await.is_ok());
        let places: Vec<Place> = (0..MOST_OF_ONE).map(|_| passwords.place_of("a").expect("a place")).collect();
        assert_eq!(passwords.hash("a", secret("x"), [0; 16]).await, Err(Crowded), "one visitor has only so many");
        assert!(passwords.hash("b", secret("x"), [0; 16]).await.is_ok());
        let _unknown: Vec<Place> = (0..9).map(|_| passwords.place_of("").expect("a place")).collect();
        drop(places);
        assert!(passwords.hash("a", secret("x"), [0; 16]).await.is_ok());
    }
}
