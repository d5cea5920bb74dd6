//! A campaign that measured nothing leaves nothing behind.

use std::path::{Path, PathBuf};

use crate::run_dir::Place;

/// Folders that are not there before a command begins: those that are empty at its end are removed.
#[derive(Debug)]
pub(crate) struct EmptyDirs(Vec<PathBuf>);

impl EmptyDirs {
    /// What will be made to hold `place`, the deepest first.
    pub(crate) fn before(place: &Place) -> Self {
        let (Place::Below(path) | Place::Exactly(path)) = place;
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        Self(path.ancestors().take_while(missing).map(Path::to_owned).collect())
    }

    /// This one, too, which lies in those.
    pub(crate) fn also(&mut self, dir: &Path) {
        self.0.insert(0, dir.to_owned());
    }
}

impl Drop for EmptyDirs {
    fn drop(&mut self) {
        for dir in &self.0 {
            // One that holds something stays.
            let _ = std::fs::remove_dir(dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_and_stayed_empty_goes_and_all_else_stays() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("there")).unwrap();
        for (kept, left) in [(None, vec![]), (Some("a/run"), vec!["a", "a/run"]), (Some("a"), vec!["a"])] {
            let below = root.path().join("there/a");
            let mut dirs = EmptyDirs::before(&Place::Below(below.clone()));
            let run = below.join("run");
            std::fs::create_dir_all(&run).unwrap();
            dirs.also(&run);
            if let Some(kept) = kept {
                std::fs::write(root.path().join("there").join(kept).join("file"), "").unwrap();
            }
            drop(dirs);
            for dir in ["a", "a/run"] {
                let path = root.path().join("there").join(dir);
                assert_eq!(path.exists(), left.contains(&dir), "{kept:?}: {dir}");
            }
            assert!(root.path().join("there").exists(), "it was there before");
            let _ = std::fs::remove_dir_all(&below);
        }
    }
}
