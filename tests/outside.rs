//! The crate of `docs/your-own-library.md` is one outside of this workspace: it builds there as the guide says, its tests do
//! what the guide says, and the guide shows what they print.
//!
//! It builds grantsim anew, as any other crate would: some minutes, and so only where `GRANTSIM_REQUIRE_OUTSIDE` is set.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const CRATE: &str = "fixtures/outside";
const GUIDE: &str = include_str!("../docs/your-own-library.md");

/// What the crate's tests do.
const GREEN: [&str; 4] = [
    "tickets_keep_every_promise",
    "an_offer_that_is_left_behind_is_found_and_told",
    "every_plan_that_was_kept_keeps_every_promise",
    "the_lives_of_tickets_are_as_they_were",
];
const RED: &str = "what_a_failure_looks_like";

#[test]
fn an_outside_crate_tests_its_library_as_the_guide_says() {
    if env::var_os("GRANTSIM_REQUIRE_OUTSIDE").is_none() {
        println!(
            "not built: the crate {CRATE}; set GRANTSIM_REQUIRE_OUTSIDE to do that, which takes minutes"
        );
        return;
    }
    let copy = Copied::of_the_crate();
    let said = copy.test();
    for name in GREEN {
        assert!(said.contains(&format!("test {name} ... ok")), "{name} is not green:\n{said}");
    }
    assert!(said.contains(&format!("test {RED} ... FAILED")), "{RED} is not red:\n{said}");
    for line in block(GUIDE) {
        assert!(
            said.lines().any(|said| said == line),
            "the guide shows {line:?}, and this is what was printed:\n{said}"
        );
    }
}

#[test]
fn the_guide_shows_the_files_of_the_crate() {
    for (file, begins) in [
        ("Cargo.toml", "# Cargo.toml\n"),
        (".cargo/config.toml", "# .cargo/config.toml\n"),
        ("lua/tickets.table.lua", "-- lua/tickets.table.lua\n"),
    ] {
        let text = fs::read_to_string(Path::new(HERE).join(CRATE).join(file)).expect("a file of the crate");
        let shown = GUIDE.split(begins).nth(1).and_then(|rest| rest.split("```").next()).expect(begins);
        for line in shown.lines() {
            let line = line.split("  #").next().unwrap_or_default().trim_end();
            assert!(
                line.contains('…') || text.lines().any(|own| own == line),
                "{file} has no line {line:?}, which the guide shows"
            );
        }
    }
}

/// The lines of the failure block in the guide, but for those that name files.
fn block(guide: &str) -> Vec<&str> {
    let after = guide.split("<!-- the failure block").nth(1).expect("the guide's failure block");
    let text = after.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("its text");
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains('…') && !line.is_empty()).collect();
    assert!(lines.len() > 10, "{text}");
    lines
}

/// The crate's manifest with the profile of this workspace's dependencies in the place of its own: so they are built once.
fn with_our_profile(manifest: &str) -> String {
    const ALL: &str = "[profile.dev.package.\"*\"]\nopt-level = 3\n";
    const SOME: &str = "[profile.dev.package]\n";
    let ours = fs::read_to_string(Path::new(HERE).join("Cargo.toml")).expect("the manifest");
    let some = ours.split(SOME).nth(1).and_then(|rest| rest.split("\n\n").next()).expect(SOME);
    assert!(manifest.contains(ALL), "{manifest}");
    let manifest = manifest.replace("[profile.dev]\n", "[profile.dev]\nopt-level = 1\n");
    manifest.replace(ALL, &format!("{SOME}{some}\n"))
}

/// A copy of the crate in a folder above which there is no configuration of Cargo's but the user's.
struct Copied(PathBuf);

impl Copied {
    fn of_the_crate() -> Self {
        let copy = Self(env::temp_dir().join(format!("grantsim-outside-{}", std::process::id())));
        let from = Path::new(HERE).join(CRATE);
        for folder in ["", ".cargo", "lua", "plans", "tests"] {
            let to = copy.0.join(folder);
            fs::create_dir_all(&to).expect("a folder of the copy");
            for entry in fs::read_dir(from.join(folder)).expect("a folder of the crate") {
                let file = entry.expect("an entry").path();
                if file.is_file() {
                    fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("a file of the crate");
                }
            }
        }
        let manifest = fs::read_to_string(copy.0.join("Cargo.toml")).expect("its Cargo.toml");
        assert!(manifest.contains("{ path = \"../..\" }"), "{manifest}");
        let manifest = manifest.replace("\"../..\"", &format!("{HERE:?}"));
        fs::write(copy.0.join("Cargo.toml"), with_our_profile(&manifest)).expect("a file");
        // The versions that are here already: nothing has to be fetched.
        fs::copy(Path::new(HERE).join("Cargo.lock"), copy.0.join("Cargo.lock")).expect("the lock file");
        copy
    }

    /// Runs its tests, those too that are to fail, and answers all that was said. What the crates of both have in common is
    /// built once: the target folder is this workspace's. The crates of this workspace are hardly optimised: a user builds them
    /// once, and this test each time.
    fn test(&self) -> String {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
        let output = Command::new(env!("CARGO"))
            .args(["test", "--offline"])
            .args(
                [("grantsim", 0), ("valkey-sim", 1)]
                    .map(|(name, level)| format!("--config=profile.dev.package.{name}.opt-level={level}")),
            )
            .args(["--", "--include-ignored"])
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .output()
            .expect("cargo runs");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
