//! The harness is a house: imports only point down, and none goes in a circle between folders.

use std::path::Path;

use crate::support::floors::{self, House};

/// The floors, as in the documentation of `lib.rs`.
const HOUSE: House = House {
    floors: &[
        "types", "library", "protocol", "plan", "view", "trace", "property", "actor", "drive", "finding",
        "shrink", "compare", "explore", "hunt", "report", "check", "command",
    ],
    apart: &[("library", "protocol"), ("plan", "view"), ("property", "actor")],
};

#[test]
fn imports_only_point_down() {
    let wrong = HOUSE.complaints(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_documentation_lists_the_floors_in_this_order() {
    let text = include_str!("../src/lib.rs");
    let listed: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next()).collect();
    // The program stands on top of the library, whose documentation this is.
    assert_eq!(Some(&*listed), HOUSE.floors.strip_suffix(&["command"]));
}

#[test]
fn an_import_that_points_up_is_found() {
    let found = |file: &str, text: &str| {
        HOUSE.imports_of(file, text).iter().filter_map(|import| HOUSE.complaint(import)).count()
    };
    assert_eq!(found("types/grant.rs", "use crate::protocol::Code;"), 1);
    assert_eq!(found("property/history/fence.rs", "use crate::{drive::Subject, trace::Step};"), 1);
    assert_eq!(found("drive/mod.rs", "use crate::{property::Judge, trace::Step};"), 0);
}

/// Only the driver on simulated time knows madsim: everything else is pure, and so can be explored, or run live.
#[test]
fn madsim_is_in_one_room() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut users = Vec::new();
    for file in floors::files(&sources) {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code
            .filter(|line| !line.contains("cfg("))
            .any(|line| line.contains("madsim::") || line.contains("link::"))
        {
            users.push(file.strip_prefix(&sources).expect("it is below").display().to_string());
        }
    }
    users.retain(|user| !user.starts_with("drive/sim/"));
    assert_eq!(users, ["drive/sim.rs"]);
}
