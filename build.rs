//! Lists the folders of `fixtures/findings` for `src/finding.rs`: a finding is part of the program by being there.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

const FOLDER: &str = "fixtures/findings";
/// What says that a folder is a finding; every other JSON file in it is one of its plans.
const FINDING: &str = "finding.json";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Of a folder, cargo looks at everything in it.
    println!("cargo::rerun-if-changed={FOLDER}");
    println!("cargo::rerun-if-changed=build.rs");
    let list = list(&folder("CARGO_MANIFEST_DIR")?.join(FOLDER))?;
    fs::write(folder("OUT_DIR")?.join("findings.rs"), list)?;
    Ok(())
}

/// A folder that cargo names.
fn folder(variable: &str) -> io::Result<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other(format!("cargo did not set {variable}")))
}

/// A Rust expression: of each finding its JSON, and the names and texts of its plans.
fn list(folder: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let mut list = "&[\n".to_owned();
    for finding in entries(folder)?.into_iter().filter(|entry| entry.join(FINDING).is_file()) {
        writeln!(list, "    (include_str!({:?}), &[", finding.join(FINDING))?;
        for plan in entries(&finding)? {
            let name = plan.file_name().unwrap_or_default();
            if name != FINDING && plan.extension().is_some_and(|extension| extension == "json") {
                writeln!(list, "        ({name:?}, include_str!({plan:?})),")?;
            }
        }
        list += "    ]),\n";
    }
    Ok(list + "]\n")
}

/// What is in a folder, by name.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
