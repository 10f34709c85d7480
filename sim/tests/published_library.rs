//! FlowFabric's published function library loads, and says which version it is.

use crate::common::Server;
use valkey_sim::engine::Reply;

#[test]
fn the_published_library_loads_and_registers_its_59_functions() {
    let mut server = Server::default();
    assert_eq!(
        server.run(&[b"FUNCTION", b"LOAD", ff_script::LIBRARY_SOURCE.as_bytes()]),
        Reply::bulk("flowfabric")
    );
    assert_eq!(server.engine.functions().function_count(), 59);
    let version = server.run(&[b"FCALL", b"ff_version", b"0"]);
    assert_eq!(version, Reply::bulk(ff_script::LIBRARY_VERSION));
}

#[test]
fn a_second_engine_loads_it_without_compiling_it_again() {
    let interpreter = valkey_sim::lua::Interpreter::default();
    let load = || {
        let mut server = Server::new(valkey_sim::engine::Dialect::Valkey8, interpreter.clone());
        let before = interpreter.memory();
        server.run(&[b"FUNCTION", b"LOAD", ff_script::LIBRARY_SOURCE.as_bytes()]);
        interpreter.memory() - before.min(interpreter.memory())
    };
    let first = load();
    let second = load();
    assert!(second < first / 10, "{second} bytes after {first}");
}
