//! The crate is a house: imports only point down.

use std::path::Path;

use crate::support::floors::House;

/// The floors, as in the documentation of `lib.rs`.
const HOUSE: House = House {
    floors: &[
        "base",
        "random",
        "hash",
        "clock",
        "resp",
        "lua",
        "engine::value",
        "engine",
        "engine::commands",
        "durability",
        "replica",
        "server",
        "link",
        "tcp",
    ],
    apart: &[("link", "tcp"), ("resp", "lua"), ("durability", "replica")],
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
        text.lines().filter_map(|line| line.strip_prefix("//! | `")?.split('`').next()).collect();
    assert_eq!(listed, HOUSE.floors);
}

#[test]
fn an_import_that_points_up_is_found_however_it_is_written() {
    for (file, text) in [
        ("base/reply.rs", "use crate::engine::Engine;"),
        ("resp/encode.rs", "use crate::{\n    base::Reply,\n    server::{Server, connection},\n};"),
        ("lua/state.rs", "fn f() { crate::engine::Engine::default() }"),
        ("engine/mod.rs", "use super::server;"),
        ("engine/memory.rs", "use super::{Engine, commands::{self, scripts}};"),
        ("engine/value/set.rs", "use super::{FixedState, super::Engine};"),
        ("engine/turn.rs", "//! The [`Server`](crate::server::Server) does."),
        ("link/node_time.rs", "use crate::tcp;"),
        ("lua/mod.rs", "use crate::resp::encode;"),
    ] {
        let imports = HOUSE.imports_of(file, text);
        assert!(
            imports.iter().any(|import| HOUSE.complaint(import).is_some()),
            "{file}: {text}: {imports:?}"
        );
    }
    for (file, text) in [
        ("server.rs", "use crate::{base::Reply, engine::{Engine, commands}};"),
        ("engine/commands/mod.rs", "use super::{Engine, table::Command};"),
        ("engine/commands/sorted_sets/pops.rs", "use super::super::scan;"),
    ] {
        let imports = HOUSE.imports_of(file, text);
        assert!(
            imports.iter().all(|import| HOUSE.complaint(import).is_none()),
            "{file}: {text}: {imports:?}"
        );
    }
}
