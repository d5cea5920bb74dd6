//! Who writes a journal, as the lock on it says.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{FILE_NAME, JournalError};

/// A process that writes a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Writer {
    /// Its number, where this machine knows it: a lock of another machine's or container's has none here.
    pub(crate) process: Option<u32>,
}

/// Who writes the journal in `run_dir` now; none where nobody does.
pub(crate) fn written_by(run_dir: &Path) -> Result<Option<Writer>, JournalError> {
    let path = run_dir.join(FILE_NAME);
    let io = |action| {
        let path = path.clone();
        move |source| JournalError::Io { action, path, source }
    };
    let file = super::open_to_read(&path, run_dir)?;
    // Given back at once, as the file is closed; who is about to write tries for longer than that.
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(Writer::of(&file))),
        Err(TryLockError::Error(source)) => Err(io("look at the lock of")(source)),
    }
}

impl Writer {
    /// Whoever holds the lock on `file`.
    pub(super) fn of(file: &File) -> Self {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let process = file.metadata().ok().and_then(|file| holder(&locks, file.dev(), file.ino()));
        Self { process }
    }
}

/// The process that holds a lock of a whole file, as `/proc/locks` has it (proc_locks(5)):
/// `1: FLOCK  ADVISORY  WRITE 19943 fe:00:10510346 0 EOF`, device numbers in hexadecimal.
fn holder(locks: &str, device: u64, inode: u64) -> Option<u32> {
    // As makedev(3) has them.
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", process, of, ..] = fields[..] else { return None };
        // A lock of another namespace's process has 0 or -1.
        process.parse().ok().filter(|process| of == file && *process != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_the_lock_is_known_by_device_and_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fe:00:12 0 EOF\n1: -> FLOCK ADVISORY  WRITE 8 fe:00:12 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 9 fe:01:12 0 EOF\n3: FLOCK  ADVISORY  READ 10 fe:00:12 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 fe:00:12 0 EOF\n5: FLOCK  ADVISORY  WRITE 19943 fe:00:12 0 EOF\n";
        let device = 0xfe00;
        assert_eq!(holder(locks, device, 12), Some(19943));
        assert_eq!(holder(locks, device, 13), None);
        assert_eq!(holder(locks, device + 1, 12), Some(9));
        assert_eq!(holder("garbage\n\n1:\n", device, 12), None);
    }

    #[test]
    fn a_journal_is_written_as_long_as_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(written_by(dir.path()), Err(JournalError::Missing { .. })));
        let path = dir.path().join(FILE_NAME);
        let file = File::create(&path).unwrap();
        assert_eq!(written_by(dir.path()).unwrap(), None);
        file.lock().unwrap();
        assert_eq!(written_by(dir.path()).unwrap(), Some(Writer { process: Some(std::process::id()) }));
        drop(file);
        assert_eq!(written_by(dir.path()).unwrap(), None);
    }
}
