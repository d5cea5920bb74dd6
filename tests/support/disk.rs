//! A file system with little room.

use std::path::Path;
use std::process::Command;

/// Mounted as long as it lives.
pub struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// A disk of `size`, as `mount` writes it. None where this user may not mount.
    pub fn mount(path: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},nr_inodes=64"), "tmpfs"])
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success());
        // Elsewhere a user may lack the right; CI must not read green without it.
        assert!(mounted || std::env::var_os("CI").is_none(), "CI cannot mount a tmpfs");
        if !mounted {
            eprintln!("skipped: this user may not mount a tmpfs, so there is no full disk to write to");
        }
        mounted.then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}
