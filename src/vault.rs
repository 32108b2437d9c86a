//! Keeps the secrets of stream definitions: nothing under the data folder shows them without the key file.
//!
//! From: `control` hides them before a row is stored. To: `destination` asks for them at each attempt. The key file,
//! `secrets.key` in the data folder with mode 0600, is made when the first secret is hidden, and taken with any mode by which
//! its owner alone may use it; whoever copies the catalog
//! without it copies no secret.
//!
//! Form of a hidden secret: `v1:` and the base64 of a 12-byte nonce, the text enciphered by AES-256-GCM, and its 16-byte
//! tag. The nonce is a keyed hash of the text, so that equal secrets are hidden alike and a definition that was not
//! changed compares equal; no two texts share a nonce but by a collision of the hash. Form of the file: `hydrant-key-1 `,
//! 64 hex digits, a newline.

use crate::disk::{Disk, replace_with};
use crate::fault::{Class, Fault, Retry};
use crate::stream::definition::Hidden;
use parking_lot::Mutex;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FORM: &str = "v1:";
const FILE_FORM: &str = "hydrant-key-1 ";
const KEY_BYTES: usize = 32;

/// Why a secret could not be hidden or shown. Never says what it is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    /// The key file is gone, but something was hidden by it.
    #[error("the key file {0} is missing: restore it, or start the service anew and update the stream with its secret")]
    NoKey(PathBuf),
    /// The key file is not one.
    #[error(
        "the key file {0} cannot be understood: restore it, or move it away, start the service anew and update the streams with their secrets"
    )]
    BadKey(PathBuf),
    /// What was hidden was hidden by another key, or is damaged.
    #[error(
        "a secret was hidden by another key than that of {0}: restore the file, or update the stream with its secret"
    )]
    OtherKey(PathBuf),
    /// Everybody may read or write the key file.
    #[error("the key file {path} has mode {mode:04o}, by which everybody on this machine may use it: chmod 600 it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key file cannot be read or written.
    #[error("the key file {path} cannot be {what}: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Read or written.
        what: &'static str,
        /// The cause.
        reason: String,
    },
}

impl Fault for VaultError {
    fn class(&self) -> Class {
        Class::Upstream
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Io { .. } => Retry::Backoff,
            Self::NoKey(_) | Self::BadKey(_) | Self::OtherKey(_) | Self::Exposed { .. } => Retry::AfterOperator,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Vault {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    keys: Mutex<Option<Arc<Keys>>>,
    /// Whether it was told that the file is open to its group.
    has_warned: AtomicBool,
}

struct Keys {
    cipher: LessSafeKey,
    nonces: hmac::Key,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    fn of(secret: &[u8; KEY_BYTES]) -> Option<Self> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let cipher = UnboundKey::new(&AES_256_GCM, hmac::sign(&root, b"cipher").as_ref()).ok()?;
        let nonces = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"nonce").as_ref());
        Some(Self { cipher: LessSafeKey::new(cipher), nonces })
    }
}

impl Vault {
    /// A vault whose key file is `path`. Nothing is read yet.
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, keys: Mutex::default(), has_warned: AtomicBool::new(false) }
    }

    /// Hides a secret, by the key that the file has now: nothing is hidden by one that is nowhere else. Blocks on the disk.
    pub fn hide(&self, text: &str) -> Result<Hidden, VaultError> {
        let keys = self.keys_to_hide()?;
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&hmac::sign(&keys.nonces, text.as_bytes()).as_ref()[..NONCE_LEN]);
        let mut sealed = text.as_bytes().to_vec();
        let hidden =
            keys.cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed);
        hidden.map_err(|_| VaultError::BadKey(self.path.clone()))?;
        Ok(Hidden(format!("{FORM}{}", base64_simd::STANDARD.encode_to_string([&nonce[..], &sealed].concat()))))
    }

    /// Shows a secret. Blocks on the disk the first time, and where another key is needed, which may be in the file by now.
    pub fn show(&self, hidden: &Hidden) -> Result<String, VaultError> {
        let known = self.keys.lock().clone();
        match known.map(|keys| self.open(&keys, hidden)) {
            Some(Ok(text)) => Ok(text),
            Some(Err(_)) | None => {
                let keys = Arc::new(self.read_file()?);
                let text = self.open(&keys, hidden)?;
                *self.keys.lock() = Some(keys);
                Ok(text)
            }
        }
    }

    fn open(&self, keys: &Keys, hidden: &Hidden) -> Result<String, VaultError> {
        let other = || VaultError::OtherKey(self.path.clone());
        let text = hidden.0.strip_prefix(FORM).ok_or_else(other)?;
        let mut bytes = base64_simd::STANDARD.decode_to_vec(text).map_err(|_| other())?;
        if bytes.len() < NONCE_LEN {
            return Err(other());
        }
        let mut sealed = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| other())?;
        let plain = keys.cipher.open_in_place(nonce, Aad::empty(), &mut sealed).map_err(|_| other())?;
        String::from_utf8(plain.to_vec()).map_err(|_| other())
    }

    /// The keys of the file; of a new one where there is none and none was known. One at a time looks and makes, so that
    /// two that hide their first secrets at once do so by the same key.
    fn keys_to_hide(&self) -> Result<Arc<Keys>, VaultError> {
        let mut known = self.keys.lock();
        let keys = match self.read_file() {
            Err(VaultError::NoKey(_)) if known.is_none() => {
                self.make_file()?;
                self.read_file()?
            }
            keys => keys?,
        };
        Ok(known.insert(Arc::new(keys)).clone())
    }

    /// Reads the key file, if there is one, so that nothing is hidden by another later on. Whether there is none. Blocks on
    /// the disk.
    pub fn is_without_file(&self) -> bool {
        let mut known = self.keys.lock();
        match self.read_file() {
            Ok(keys) => *known = Some(Arc::new(keys)),
            Err(VaultError::NoKey(_)) => return true,
            // Told to who needs a secret.
            Err(_) => {}
        }
        false
    }

    fn read_file(&self) -> Result<Keys, VaultError> {
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => VaultError::NoKey(self.path.clone()),
            _ => VaultError::Io { path: self.path.clone(), what: "read", reason: error.to_string() },
        };
        let file = self.disk.open_to_read(&self.path).map_err(io)?;
        let mode = file.mode().map_err(io)?;
        if mode & 0o007 != 0 {
            return Err(VaultError::Exposed { path: self.path.clone(), mode });
        }
        // Who mounts a volume may give it to a group each time (fsGroup of Kubernetes), which is no reason to stand still.
        if mode & 0o070 != 0 && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(path = %self.path.display(), "the key file is open to its group, by mode {mode:04o}");
        }
        let mut text = vec![0; file.len_bytes().map_err(io)?.min(200) as usize];
        file.read_exact_at(&mut text, 0).map_err(io)?;
        let secret = std::str::from_utf8(&text).ok().and_then(parse);
        secret.and_then(|secret| Keys::of(&secret)).ok_or_else(|| VaultError::BadKey(self.path.clone()))
    }

    /// Makes the key file, durable before anything is hidden by it.
    fn make_file(&self) -> Result<(), VaultError> {
        let io = |reason: String| VaultError::Io { path: self.path.clone(), what: "written", reason };
        let mut secret = [0; KEY_BYTES];
        getrandom::fill(&mut secret).map_err(|error| io(error.to_string()))?;
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("{FILE_FORM}{digits}\n");
        let mut temporary = self.path.as_os_str().to_owned();
        temporary.push(".tmp");
        match self.disk.remove_file(Path::new(&temporary)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error.to_string())),
            _ => {}
        }
        let private = Private(&*self.disk);
        replace_with(&private, &self.path, Path::new(&temporary), |file| file.write_all(text.as_bytes()))
            .map_err(|error| io(error.to_string()))?;
        tracing::info!(path = %self.path.display(), "made the key by which secrets of streams are kept; copy it apart from the data folder");
        Ok(())
    }
}

fn parse(text: &str) -> Option<[u8; KEY_BYTES]> {
    let digits = text.strip_prefix(FILE_FORM)?.trim_end().as_bytes();
    let mut secret = [0; KEY_BYTES];
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    for (byte, pair) in secret.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(secret)
}

/// A disk that makes files which only their owner can read.
#[derive(Debug)]
struct Private<'a>(&'a dyn Disk);

impl Disk for Private<'_> {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn crate::disk::DiskFile>> {
        self.0.create_private(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn crate::disk::DiskFile>> {
        self.0.open(path)
    }
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn crate::disk::DiskFile>> {
        self.0.open_to_read(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<crate::disk::Entry>> {
        self.0.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::os::unix::fs::PermissionsExt;

    fn vault(dir: &Path) -> Vault {
        Vault::new(Arc::new(RealDisk), dir.join("secrets.key"))
    }

    fn write_key(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_secret_is_shown_by_its_key_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = vault(dir.path());
        assert!(matches!(first.show(&Hidden("v1:AAAA".to_owned())), Err(VaultError::NoKey(_))));
        let hidden = first.hide("open sesame").unwrap();
        let mode = std::fs::metadata(dir.path().join("secrets.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!hidden.0.contains("sesame") && !format!("{hidden:?}").contains(&hidden.0));
        // Hidden alike by a later process, so that an unchanged definition compares equal.
        let second = vault(dir.path());
        assert_eq!(second.hide("open sesame").unwrap(), hidden);
        assert_ne!(second.hide("open sesamf").unwrap(), hidden);
        for text in ["", "open sesame", "ünï\0"] {
            assert_eq!(second.show(&second.hide(text).unwrap()).unwrap(), text);
        }
        let other = tempfile::tempdir().unwrap();
        let other = vault(other.path());
        other.hide("x").unwrap();
        for bad in [&hidden.0, "v1:", "v1:AAAA", "v2:AAAA", "", "v1:!"] {
            assert!(matches!(other.show(&Hidden(bad.to_owned())), Err(VaultError::OtherKey(_))), "{bad}");
        }
    }

    #[test]
    fn the_key_that_is_in_the_file_now_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (path, kept) = (dir.path().join("secrets.key"), dir.path().join("kept"));
        let running = vault(dir.path());
        let hidden = running.hide("x").unwrap();
        std::fs::rename(&path, &kept).unwrap();
        // What is known is shown on; nothing new is hidden by a key that is in no file.
        assert_eq!(running.show(&hidden).unwrap(), "x");
        assert!(matches!(running.hide("y"), Err(VaultError::NoKey(_))) && running.is_without_file());
        // A service that starts without it makes another, and takes the old one when it is put back.
        let later = vault(dir.path());
        let other = later.hide("y").unwrap();
        assert!(matches!(later.show(&hidden), Err(VaultError::OtherKey(_))));
        assert_eq!(later.show(&other).unwrap(), "y");
        std::fs::rename(&kept, &path).unwrap();
        assert_eq!(later.show(&other).unwrap(), "y");
        assert_eq!(later.show(&hidden).unwrap(), "x");
        assert_eq!(later.hide("x").unwrap(), hidden);
        assert!(matches!(later.show(&other), Err(VaultError::OtherKey(_))));
        // One that was there at the start is known, used or not.
        let idle = vault(dir.path());
        assert!(!idle.is_without_file());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(idle.hide("z"), Err(VaultError::NoKey(_))));
    }

    #[test]
    fn a_key_file_is_not_for_everybody_and_its_owner_need_not_be_able_to_write_it() {
        let dir = tempfile::tempdir().unwrap();
        let hidden = vault(dir.path()).hide("x").unwrap();
        let path = dir.path().join("secrets.key");
        let set_mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o400, 0o600, 0o700, 0o660] {
            set_mode(mode);
            assert_eq!(vault(dir.path()).show(&hidden).unwrap(), "x", "{mode:o}");
        }
        // Root may write what has mode 0400; nobody is to ask for it.
        assert!(RealDisk.open_to_read(&path).unwrap().write_all_at(&[b"x"], 0).is_err());
        for mode in [0o644, 0o604, 0o602, 0o601] {
            set_mode(mode);
            let error = vault(dir.path()).show(&hidden).unwrap_err();
            assert!(matches!(error, VaultError::Exposed { mode: found, .. } if found == mode), "{mode:o}: {error}");
            assert_eq!(error.retry(), Retry::AfterOperator);
        }
    }

    #[test]
    fn first_secrets_hidden_at_once_are_of_one_key() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let folder = dir.path().join(round.to_string());
            std::fs::create_dir(&folder).unwrap();
            let (shared, start) = (vault(&folder), std::sync::Barrier::new(4));
            let hide = || {
                start.wait();
                shared.hide("x")
            };
            let hidden: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(hide)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
            });
            assert!(hidden.iter().all(|hidden| vault(&folder).show(hidden).unwrap() == "x"));
        }
    }

    #[test]
    fn a_key_file_of_another_form_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.key");
        for text in ["", "hydrant-key-2 00", "hydrant-key-1 zz"] {
            write_key(&path, text);
            assert!(matches!(vault(dir.path()).hide("x"), Err(VaultError::BadKey(_))));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    /// The forms of both, as version 1 has them.
    #[test]
    fn golden() {
        let dir = tempfile::tempdir().unwrap();
        let key = format!("hydrant-key-1 {}\n", "0123456789abcdef".repeat(4));
        write_key(&dir.path().join("secrets.key"), &key);
        let hidden = Hidden(include_str!("../tests/golden/vault/v1.txt").trim_end().to_owned());
        let vault = vault(dir.path());
        assert_eq!(vault.show(&hidden).unwrap(), "open sesame");
        assert_eq!(vault.hide("open sesame").unwrap(), hidden);
    }
}
