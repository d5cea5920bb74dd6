//! Files to lay out on a host.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Files by their paths relative to the folder they are put into; small enough to be held in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<String, Cow<'static, [u8]>>,
}

/// A path that does not stay below the folder a tree is put into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place in a tree: parts other than `.` and `..`, with one `/` between them")]
pub struct BadTreePath(String);

impl Tree {
    /// Add the file `path`, or take another one's place.
    pub fn add(&mut self, path: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<(), BadTreePath> {
        let stays = path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'));
        if !stays {
            return Err(BadTreePath(path.to_owned()));
        }
        self.files.insert(path.to_owned(), bytes.into());
        Ok(())
    }

    /// Paths and contents, in the order of the paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), &**bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_below_its_tree() {
        let mut tree = Tree::default();
        tree.add("a/b.py", b"x".as_slice()).unwrap();
        tree.add("a/b.py", b"y".as_slice()).unwrap();
        for bad in ["", "/a", "../a", "a/../../b", "a//b", "./a", "a/", "a\0b"] {
            let error = tree.add(bad, Vec::new()).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{bad}` is no place")), "{error}");
        }
        assert_eq!(tree.files().collect::<Vec<_>>(), [("a/b.py", b"y".as_slice())]);
    }
}
