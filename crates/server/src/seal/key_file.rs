//! The file that holds the sealing keys: made once, read at start, lengthened by rotation.
//!
//! It must never overwrite a key file, never leave a moment in which the file is missing or half written during
//! a rotation, and never use a file that other users can read. Called by the start of the server and by
//! `kiosk keys rotate`; the form of the text is the parent module's.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{KeyBytes, KeyTextError, Keyring, MAX_FILE_BYTES, mac};
use crate::entropy::to_hex;

const FILE_HEADER: &str = "# Sealing keys of kiosk. Without this file no stored code can be opened.\n\
    # Keep a copy apart from the backups; whoever has both can read every code.\n";

const KEY_ID_LABEL: &[u8] = b"kiosk key id";

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Missing or unreadable.
    #[error("the key file {} cannot be read", .path.display())]
    Read {
        /// The key file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The new file could not be written; the old one, if any, is as it was.
    #[error("the key file {} cannot be written", .path.display())]
    Write {
        /// The file being written.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// `create` found a file.
    #[error("the key file {} exists already and is never overwritten: its codes would be lost", .path.display())]
    Exists {
        /// The key file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error(
        "the key file {} is open to other users (mode {mode:03o}); run: chmod 600 {}",
        .path.display(),
        .path.display()
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Its text is not a key file.
    #[error("the key file {} is not valid", .path.display())]
    Text {
        /// The key file.
        path: PathBuf,
        /// The line and what is wrong with it.
        #[source]
        source: KeyTextError,
    },
    /// The temporary file of a rotation exists.
    #[error("{} is left from another rotation; if none is running, delete it and try again", .path.display())]
    RotationUnderWay {
        /// The temporary file.
        path: PathBuf,
    },
}

impl Keyring {
    /// Writes a new key file (mode 0600, durable before this returns) and gives its ring. Both keys are fresh
    /// randomness; the id of a key is derived from it.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`] when there is a file: it is never overwritten.
    pub fn create(path: &Path, fingerprint_key: [u8; 32], first_key: [u8; 32]) -> Result<Self, KeyFileError> {
        let text = format!("{FILE_HEADER}fingerprint {}\n{}", to_hex(&fingerprint_key), key_line(first_key));
        let ring = Self::parse(&text).map_err(|source| KeyFileError::Text { path: path.to_path_buf(), source })?;
        let unwritable = |source| KeyFileError::Write { path: path.to_path_buf(), source };
        let file = create_private(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_path_buf() },
            _ => unwritable(source),
        })?;
        write_durably(file, &text).map_err(unwritable)?;
        sync_folder_of(path).map_err(unwritable)?;
        Ok(ring)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyFileError::Exposed`] when group or others have any right to it (unix), otherwise as named there.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let text = read_private(path)?;
        Self::parse(&text).map_err(|source| KeyFileError::Text { path: path.to_path_buf(), source })
    }

    /// Appends `new_key` (fresh randomness) as the active key and gives the new ring. The old file stays whole
    /// until the new one is durable; a symbolic link keeps pointing at the file it names.
    ///
    /// # Errors
    /// [`KeyFileError::RotationUnderWay`] when another rotation runs or died; otherwise as [`Keyring::load`].
    pub fn rotate(path: &Path, new_key: [u8; 32]) -> Result<Self, KeyFileError> {
        let path = &fs::canonicalize(path).map_err(|source| KeyFileError::Read { path: path.to_path_buf(), source })?;
        let mut temporary = path.clone().into_os_string();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        // Taken before the old file is read: of two rotations at once the second is refused here, otherwise it
        // would write a file without the first one's key.
        let file = create_private(&temporary).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::RotationUnderWay { path: temporary.clone() },
            _ => KeyFileError::Write { path: temporary.clone(), source },
        })?;
        let rotated = replace_with_longer(path, file, &temporary, new_key);
        if rotated.is_err() {
            // The error being returned says more than a failure to tidy up after it.
            drop(fs::remove_file(&temporary));
        }
        rotated
    }
}

fn key_line(key: [u8; 32]) -> String {
    let key = KeyBytes(key);
    let [first, second, third, fourth, ..] = mac(&key, KEY_ID_LABEL, b"");
    format!("key {} {}\n", to_hex(&[first, second, third, fourth]), to_hex(&key.0))
}

fn replace_with_longer(
    path: &Path,
    file: fs::File,
    temporary: &Path,
    new_key: [u8; 32],
) -> Result<Keyring, KeyFileError> {
    let mut text = read_private(path)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&key_line(new_key));
    // Parsed before it is written: a file that would not load must not replace one that does.
    let ring = Keyring::parse(&text).map_err(|source| KeyFileError::Text { path: path.to_path_buf(), source })?;
    let unwritable = |source| KeyFileError::Write { path: path.to_path_buf(), source };
    keep_owner(path, &file).map_err(unwritable)?;
    write_durably(file, &text).map_err(unwritable)?;
    fs::rename(temporary, path).map_err(unwritable)?;
    sync_folder_of(path).map_err(unwritable)?;
    Ok(ring)
}

fn read_private(path: &Path) -> Result<String, KeyFileError> {
    let unreadable = |source| KeyFileError::Read { path: path.to_path_buf(), source };
    let file = fs::File::open(path).map_err(unreadable)?;
    // Asked of the open file, not of the name: the name may point elsewhere a moment later.
    let mode = permission_bits(&file).map_err(unreadable)?;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_path_buf(), mode });
    }
    let mut text = String::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// A new file, for its owner alone from its first moment on.
fn create_private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write_durably(mut file: fs::File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes the name of a new or renamed file durable, not only its content.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::File::open(folder)?.sync_all()
}

#[cfg(unix)]
fn permission_bits(file: &fs::File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn permission_bits(_file: &fs::File) -> io::Result<u32> {
    Ok(0o600)
}

/// A rotation run as root leaves the file to the account that the server runs as, which could not read it else.
#[cfg(unix)]
fn keep_owner(old: &Path, new: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (old, created) = (fs::metadata(old)?, new.metadata()?);
    if (old.uid(), old.gid()) == (created.uid(), created.gid()) {
        return Ok(());
    }
    fchown(new, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_old: &Path, _new: &fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "stock_codes/17";

    /// An empty folder of this test's own; its name holds the process, so that two runs do not meet.
    fn empty_folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kiosk-seal-{name}-{}", std::process::id()));
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("a left-over folder can be removed");
        }
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::canonicalize(&folder).expect("it was just made")
    }

    #[test]
    fn a_key_file_is_created_once_read_back_and_rotated() {
        let folder = empty_folder("rotate");
        let path = folder.join("secret.key");
        let created = Keyring::create(&path, [1; 32], [2; 32]).expect("a new file");
        let sealed = created.seal(b"PIN", ROW, [1; 24]);
        let second = Keyring::create(&path, [3; 32], [4; 32]).expect_err("never overwritten");
        assert!(matches!(second, KeyFileError::Exists { .. }), "{second}");

        let loaded = Keyring::load(&path).expect("just written");
        assert_eq!(loaded.key_check(), created.key_check());
        let rotated = Keyring::rotate(&path, [5; 32]).expect("rotation");
        let reloaded = Keyring::load(&path).expect("just rotated");
        assert_ne!(reloaded.active_key_id(), created.active_key_id());
        assert_eq!(reloaded.active_key_id(), rotated.active_key_id());
        assert_eq!(reloaded.open(&sealed, ROW).expect("the old key is kept").text(), Ok("PIN"));
        assert_eq!(reloaded.key_check(), created.key_check());

        let before = fs::read_to_string(&path).expect("readable");
        let repeated = Keyring::rotate(&path, [5; 32]).expect_err("the same key again has the same id");
        assert!(matches!(repeated, KeyFileError::Text { .. }), "{repeated}");
        assert_eq!(fs::read_to_string(&path).expect("readable"), before);
        let names: Vec<_> = fs::read_dir(&folder).expect("readable").collect();
        assert_eq!(names.len(), 1, "no temporary file is left: {names:?}");
        fs::remove_dir_all(&folder).expect("the folder can be removed");
    }

    #[test]
    fn a_second_rotation_at_the_same_time_is_refused() {
        let folder = empty_folder("race");
        let path = folder.join("secret.key");
        Keyring::create(&path, [1; 32], [2; 32]).expect("a new file");
        let temporary = folder.join("secret.key.new");
        fs::write(&temporary, "").expect("writable");
        let refused = Keyring::rotate(&path, [5; 32]).expect_err("the other one is not finished");
        assert!(matches!(refused, KeyFileError::RotationUnderWay { .. }), "{refused}");
        assert!(temporary.exists(), "it belongs to the other rotation");
        fs::remove_dir_all(&folder).expect("the folder can be removed");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = empty_folder("mode");
        let path = folder.join("secret.key");
        Keyring::create(&path, [1; 32], [2; 32]).expect("a new file");
        let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        for open in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).expect("our own file");
            for refused in [Keyring::load(&path), Keyring::rotate(&path, [5; 32])] {
                let message = refused.expect_err("open to others").to_string();
                assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("our own file");
        Keyring::rotate(&path, [5; 32]).expect("read-only for the owner is enough: the file is replaced");
        assert_eq!(mode(&path), 0o600);
        fs::remove_dir_all(&folder).expect("the folder can be removed");
    }
}
