//! The actor's private key on disk. Whoever loses it loses the followers, so it is written whole or not at all.

mod readers;

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;

use super::Secret;

pub use readers::warning;

/// Fewest bits of an RSA key: Owncast makes 2048, and Mastodon and GoToSocial refuse less.
pub const LEAST_BITS: u32 = 2048;

/// A key file larger than this is something else.
const LARGEST_FILE: u64 = 64 * 1024;

/// Why a text is no usable private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Not a PEM private key, or one locked with a passphrase.
    #[error("it is not an unencrypted private key in PEM form")]
    NotPem,
    /// Another algorithm.
    #[error("it is not an RSA key, which is what fediverse servers verify")]
    NotRsa,
    /// Too weak.
    #[error("it is an RSA key of {bits} bits; other servers refuse less than {LEAST_BITS}")]
    TooShort {
        /// Its length.
        bits: u32,
    },
    /// The numbers of the key contradict each other.
    #[error("it is damaged: its numbers do not belong together")]
    Damaged,
}

/// Why the key file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no key yet.
    #[error("there is no key in {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is a key, but it cannot be used.
    #[error("the key in {} cannot be used: {problem}; put your copy of it back", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// The key to be written cannot be used.
    #[error("this key is not written: {0}")]
    Refused(KeyProblem),
    /// Another key is there, and losing it would lose the followers.
    #[error(
        "{} holds another key, and the followers of its actor would be lost with it; move it away first, or force it",
        path.display()
    )]
    AnotherKey {
        /// The file.
        path: PathBuf,
    },
    /// The disk or the permissions.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A key read from its file.
#[derive(Debug)]
pub struct KeyFile {
    /// The private key, PEM as it stands in the file.
    pub pem: Secret,
}

/// What [`write()`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The file is new, or replaced by force.
    Now,
    /// The same key was there already; the file is untouched.
    AlreadyThere,
}

/// Checks that a text is a usable RSA private key, PKCS#1 or PKCS#8 in PEM.
///
/// # Errors
/// What is wrong with it; no part of the text is repeated.
pub fn parse_private_key(pem: &str) -> Result<Rsa<Private>, KeyProblem> {
    // Without a callback OpenSSL asks for the passphrase of a locked key on the terminal, and waits.
    let key =
        PKey::private_key_from_pem_callback(pem.as_bytes(), |_| Ok(0)).map_err(|_| KeyProblem::NotPem)?;
    let rsa = key.rsa().map_err(|_| KeyProblem::NotRsa)?;
    let bits = rsa.n().num_bits().unsigned_abs();
    if bits < LEAST_BITS {
        return Err(KeyProblem::TooShort { bits });
    }
    if !rsa.check_key().unwrap_or(false) {
        return Err(KeyProblem::Damaged);
    }
    Ok(rsa)
}

/// Reads the key.
///
/// # Errors
/// [`KeyFileError::Missing`] when there is none yet; others when there is something that cannot be used.
pub fn read(path: &Path) -> Result<KeyFile, KeyFileError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing { path: path.to_owned() },
        _ => KeyFileError::Io { doing: "cannot read", path: path.to_owned(), source },
    };
    let unusable = |problem| KeyFileError::Unusable { path: path.to_owned(), problem };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        return Err(unusable(KeyProblem::NotPem));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    let text = String::from_utf8(bytes).map_err(|_| unusable(KeyProblem::NotPem))?;
    parse_private_key(&text).map_err(unusable)?;
    Ok(KeyFile { pem: Secret::new(text) })
}

/// Writes the key: a file beside it with mode 0600, synced, moved into place, folder synced.
///
/// A process of root gives the file to the owner of the folder, who is the user the agent runs as.
///
/// # Errors
/// [`KeyFileError::AnotherKey`] when a different key, or something unreadable, is there and `force` is not set.
pub fn write(path: &Path, pem: &Secret, force: bool) -> Result<Written, KeyFileError> {
    write_for(path, pem, force, None)
}

/// As [`write()`], for a copy somewhere else: whoever owns a folder there is given it by root only if they are one of `heirs`.
///
/// # Errors
/// As [`write()`].
pub fn write_copy(path: &Path, pem: &Secret, force: bool, heirs: &[u32]) -> Result<Written, KeyFileError> {
    write_for(path, pem, force, Some(heirs))
}

fn write_for(path: &Path, pem: &Secret, force: bool, heirs: Option<&[u32]>) -> Result<Written, KeyFileError> {
    let new = parse_private_key(pem.expose()).map_err(KeyFileError::Refused)?;
    // A link stays a link: the file it leads to is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match read(&target) {
        Ok(old) => {
            if parse_private_key(old.pem.expose()).is_ok_and(|old| same(&old, &new)) {
                return Ok(Written::AlreadyThere);
            }
            if !force {
                return Err(KeyFileError::AnotherKey { path: target });
            }
        }
        Err(KeyFileError::Missing { .. }) => {}
        Err(KeyFileError::Unusable { .. }) if force => {}
        Err(KeyFileError::Unusable { .. }) => return Err(KeyFileError::AnotherKey { path: target }),
        Err(error) => return Err(error),
    }
    place(folder_of(&target), &target, pem, force, heirs).map(|()| Written::Now)
}

/// Whether another key than this one, or something that is none, is in the file.
///
/// # Errors
/// The key is unusable, or the file cannot be read.
pub fn differs(path: &Path, key: &Secret) -> Result<bool, KeyFileError> {
    let key = parse_private_key(key.expose()).map_err(KeyFileError::Refused)?;
    match read(path) {
        Ok(there) => Ok(!parse_private_key(there.pem.expose()).is_ok_and(|there| same(&there, &key))),
        Err(KeyFileError::Missing { .. }) => Ok(false),
        Err(KeyFileError::Unusable { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Names a key in a way that two people can compare: SHA-256 of its public half (SubjectPublicKeyInfo, DER), in hexadecimal.
///
/// # Errors
/// The key is unusable.
pub fn fingerprint(key: &Secret) -> Result<String, KeyProblem> {
    let der = parse_private_key(key.expose())?.public_key_to_der().map_err(|_| KeyProblem::Damaged)?;
    Ok(in_hex(&der))
}

/// The same of the key in this file; `None` if there is none that can be read.
pub fn fingerprint_in(path: &Path) -> Option<String> {
    read(path).ok().and_then(|key| fingerprint(&key.pem).ok())
}

/// The same of a public key, PEM; `None` if it is none.
pub fn fingerprint_of_public(pem: &str) -> Option<String> {
    let der = PKey::public_key_from_pem(pem.as_bytes()).and_then(|key| key.public_key_to_der());
    der.ok().map(|der| in_hex(&der))
}

fn in_hex(der: &[u8]) -> String {
    openssl::sha::sha256(der).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the key is that follows the one in this file, while a change of keys is under way.
pub fn next_file(path: &Path) -> PathBuf {
    beside(path, "next")
}

/// The key that others are to know: the next one while a change of keys is under way, else the one in the file.
///
/// # Errors
/// As [`read`].
pub fn read_announced(path: &Path) -> Result<KeyFile, KeyFileError> {
    match read(&next_file(path)) {
        Err(KeyFileError::Missing { .. }) => read(path),
        found => found,
    }
}

/// Gives the key a second name beside its own, under which it stays when another takes its place. Answers that name.
///
/// # Errors
/// The disk or the permissions.
pub fn keep_copy(path: &Path, stamp: &str) -> Result<PathBuf, KeyFileError> {
    let aside = beside(path, stamp);
    let io = |source| KeyFileError::Io { doing: "cannot keep a copy of", path: path.to_owned(), source };
    std::fs::hard_link(std::fs::canonicalize(path).map_err(io)?, &aside).map_err(io)?;
    Ok(aside)
}

/// Makes the next key the one in use. Answers where the one before is now.
///
/// # Errors
/// There is no next key, or the disk or the permissions.
pub fn change_to_next(path: &Path, stamp: &str) -> Result<PathBuf, KeyFileError> {
    let next = next_file(path);
    read(&next)?;
    // There is a key in its place at every moment.
    let aside = keep_copy(path, stamp)?;
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let io = |source| KeyFileError::Io { doing: "cannot rename", path: next.clone(), source };
    std::fs::rename(&next, &target).map_err(io)?;
    File::open(folder_of(&target)).and_then(|folder| folder.sync_all()).map_err(io)?;
    Ok(aside)
}

/// Moves the next key away, which followed another key than the one that is put into its place. Answers where it is now.
///
/// # Errors
/// The disk or the permissions.
pub fn set_next_aside(path: &Path, stamp: &str) -> Result<Option<PathBuf>, KeyFileError> {
    let next = next_file(path);
    let aside = beside(&next, stamp);
    match std::fs::rename(&next, &aside) {
        Ok(()) => {}
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeyFileError::Io { doing: "cannot set aside", path: next, source }),
    }
    let synced = File::open(folder_of(&next)).and_then(|folder| folder.sync_all());
    synced.map_err(|source| KeyFileError::Io { doing: "cannot set aside", path: next, source })?;
    Ok(Some(aside))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn same(one: &Rsa<Private>, other: &Rsa<Private>) -> bool {
    one.n() == other.n() && one.e() == other.e()
}

fn place(
    folder: &Path,
    target: &Path,
    pem: &Secret,
    force: bool,
    heirs: Option<&[u32]>,
) -> Result<(), KeyFileError> {
    let io = |doing| move |source| KeyFileError::Io { doing, path: target.to_owned(), source };
    let in_folder = |doing| move |source| KeyFileError::Io { doing, path: folder.to_owned(), source };
    let mode = std::fs::Permissions::from_mode(0o600);
    let mut file = tempfile::Builder::new()
        .prefix(".actor-key.")
        .permissions(mode)
        .tempfile_in(folder)
        .map_err(in_folder("cannot make a file in"))?;
    file.write_all(pem.expose().as_bytes()).map_err(io("cannot write"))?;
    let around = std::fs::metadata(folder).map_err(in_folder("cannot look at"))?;
    hand_over(file.as_file(), &around, heirs).map_err(io("cannot give to the folder's owner"))?;
    file.as_file().sync_all().map_err(io("cannot sync"))?;
    let moved = if force { file.persist(target) } else { file.persist_noclobber(target) };
    moved.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::AnotherKey { path: target.to_owned() },
        _ => io("cannot move into place")(error.error),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(in_folder("cannot sync"))
}

/// Gives a file that root has made to the owner of the folder it lies in, if that is one of `heirs`, where those are named.
///
/// # Errors
/// What the system says.
pub fn hand_over(file: &File, folder: &Metadata, heirs: Option<&[u32]>) -> io::Result<()> {
    let heir = folder.uid() != 0 && heirs.is_none_or(|heirs| heirs.contains(&folder.uid()));
    if heir && file.metadata()?.uid() == 0 {
        std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsa(bits: u32) -> Secret {
        let pem = Rsa::generate(bits).unwrap().private_key_to_pem().unwrap();
        Secret::new(String::from_utf8(pem).unwrap())
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_key_is_written_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        assert!(matches!(read(&path), Err(KeyFileError::Missing { .. })));
        let (first, second) = (rsa(2048), rsa(2048));
        assert_eq!(write(&path, &first, false).unwrap(), Written::Now);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names(folder.path()), ["key.pem"], "no temporary file stays");
        let key = read(&path).unwrap();
        assert_eq!((key.pem == first, warning(&path, folder.path())), (true, None));

        assert_eq!(write(&path, &first, false).unwrap(), Written::AlreadyThere);
        assert!(matches!(write(&path, &second, false), Err(KeyFileError::AnotherKey { .. })));
        assert_eq!(read(&path).unwrap().pem, first);
        assert_eq!(write(&path, &second, true).unwrap(), Written::Now);
        assert_eq!(read(&path).unwrap().pem, second);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn the_same_key_in_another_form_is_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let pkcs1 = rsa(2048);
        let key = PKey::from_rsa(parse_private_key(pkcs1.expose()).unwrap()).unwrap();
        let pkcs8 = Secret::new(String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap());
        assert_ne!(pkcs1, pkcs8);
        write(&path, &pkcs1, false).unwrap();
        assert_eq!(write(&path, &pkcs8, false).unwrap(), Written::AlreadyThere);
    }

    #[test]
    fn a_damaged_file_is_kept_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "-----BEGIN RSA PRIVATE KEY-----\ncut o").unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::Unusable { problem: KeyProblem::NotPem, .. })));
        let key = rsa(2048);
        assert!(matches!(write(&path, &key, false), Err(KeyFileError::AnotherKey { .. })));
        write(&path, &key, true).unwrap();
        assert_eq!(read(&path).unwrap().pem, key);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (link, real) = (folder.path().join("link.pem"), folder.path().join("real.pem"));
        let (first, second) = (rsa(2048), rsa(2048));
        write(&real, &first, false).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, &second, true).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&real).unwrap().pem, second);
    }

    #[test]
    fn only_strong_rsa_keys_are_taken() {
        let ec = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
        let ec = PKey::from_ec_key(openssl::ec::EcKey::generate(&ec).unwrap()).unwrap();
        let ec = String::from_utf8(ec.private_key_to_pem_pkcs8().unwrap()).unwrap();
        let locked = Rsa::generate(2048).unwrap();
        let cipher = openssl::symm::Cipher::aes_256_cbc();
        let locked =
            String::from_utf8(locked.private_key_to_pem_passphrase(cipher, b"secret").unwrap()).unwrap();
        let table = [
            (String::new(), KeyProblem::NotPem),
            ("not a key".to_owned(), KeyProblem::NotPem),
            (locked, KeyProblem::NotPem),
            (ec, KeyProblem::NotRsa),
            (rsa(1024).expose().to_owned(), KeyProblem::TooShort { bits: 1024 }),
        ];
        for (pem, problem) in table {
            assert_eq!(parse_private_key(&pem).map(|_| ()), Err(problem));
        }
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("key.pem"), &Secret::new("x"), true).unwrap_err();
        assert!(matches!(error, KeyFileError::Refused(KeyProblem::NotPem)));
    }

    #[test]
    fn a_key_changes_to_the_next_one_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let (first, second) = (rsa(2048), rsa(2048));
        assert!(!differs(&path, &first).unwrap(), "there is none");
        write(&path, &first, false).unwrap();
        assert_eq!((differs(&path, &first).unwrap(), differs(&path, &second).unwrap()), (false, true));
        assert_eq!(read_announced(&path).unwrap().pem, first);
        assert!(matches!(change_to_next(&path, "1"), Err(KeyFileError::Missing { .. })));
        write(&next_file(&path), &second, false).unwrap();
        assert_eq!(
            (read(&path).unwrap().pem, read_announced(&path).unwrap().pem),
            (first.clone(), second.clone())
        );
        let gone = set_next_aside(&path, "0").unwrap().unwrap();
        assert_eq!((next_file(&path).exists(), set_next_aside(&path, "0").unwrap()), (false, None));
        std::fs::rename(gone, next_file(&path)).unwrap();
        let aside = change_to_next(&path, "1").unwrap();
        assert_eq!((read(&path).unwrap().pem, read(&aside).unwrap().pem), (second.clone(), first));
        assert_eq!(names(folder.path()).len(), 2);
        assert_eq!(read(&keep_copy(&path, "2").unwrap()).unwrap().pem, second);
        assert_eq!((read(&path).unwrap().pem, mode(&path)), (second, 0o600));
    }

    #[test]
    fn the_fingerprint_is_that_of_the_public_half() {
        let key = rsa(2048);
        let public = parse_private_key(key.expose()).unwrap().public_key_to_pem().unwrap();
        let of_public = fingerprint_of_public(&String::from_utf8(public).unwrap());
        assert_eq!(of_public, fingerprint(&key).ok());
        assert_eq!((of_public.unwrap().len(), fingerprint_of_public("x")), (64, None));
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write(Path::new("/nonexistent/folder/key.pem"), &rsa(2048), false).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
    }
}
