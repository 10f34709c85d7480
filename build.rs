//! Lists the folders of `fixtures/findings` for `src/finding.rs`, and the files of `fixtures/mutants` for
//! `src/library/mutant.rs`: a finding or a mutant is part of the program by being there.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

const FINDINGS: &str = "fixtures/findings";
const MUTANTS: &str = "fixtures/mutants";
/// What says that a folder is a finding; every other JSON file in it is one of its plans.
const FINDING: &str = "finding.json";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Of a folder, cargo looks at everything in it.
    for path in [FINDINGS, MUTANTS, "build.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let (root, out) = (folder("CARGO_MANIFEST_DIR")?, folder("OUT_DIR")?);
    fs::write(out.join("findings.rs"), findings(&root.join(FINDINGS))?)?;
    fs::write(out.join("mutants.rs"), mutants(&root.join(MUTANTS))?)?;
    Ok(())
}

/// A folder that cargo names.
fn folder(variable: &str) -> io::Result<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other(format!("cargo did not set {variable}")))
}

/// A Rust expression: of each finding its JSON, and the names and texts of its plans.
fn findings(folder: &Path) -> Result<String, Box<dyn std::error::Error>> {
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

/// A Rust expression: of each mutant its name and its text.
fn mutants(folder: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let is_lua = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "lua");
    let mut files: Vec<_> = entries(folder)?.into_iter().filter(is_lua).collect();
    files.sort_by_key(|path| path.file_stem().map(ToOwned::to_owned));
    let mut list = "&[\n".to_owned();
    for path in files {
        writeln!(list, "    ({:?}, include_str!({path:?})),", path.file_stem().unwrap_or_default())?;
    }
    Ok(list + "]\n")
}

/// What is in a folder, by name.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
