//! Folders for tests that write files.

use std::{fs, path::PathBuf};

/// A folder of a test's own, which is gone after it.
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty one in the system's folder for such.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("grantsim-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
