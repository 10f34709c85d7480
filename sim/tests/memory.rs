//! `maxmemory` and what is refused beyond it, as redis-server 7.0.15 has it.

use crate::common::{Server, run, show};
use valkey_sim::{engine::Dialect, lua::Interpreter};

const REFUSED: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

/// A server with a key `a` whose memory is used up.
fn short() -> Server {
    let mut server = Server::new(Dialect::Redis7, Interpreter::default());
    run(&mut server, "set a 1");
    let code = "#!lua name=l\n\
        redis.register_function('plain', function() return redis.call('set', 'a', '2') end)\n\
        redis.register_function{function_name='oom', flags={'allow-oom'}, \
          callback=function() return redis.call('set', 'a', '3') end}\n\
        redis.register_function{function_name='ro', flags={'no-writes'}, \
          callback=function() return redis.call('get', 'a') end}";
    assert_eq!(show(&server.load(code)), "l");
    assert_eq!(run(&mut server, "config set maxmemory 1"), "+OK");
    server
}

#[test]
fn commands_that_need_memory_are_refused_and_the_others_are_not() {
    let mut server = short();
    assert_eq!(run(&mut server, "set a 2"), REFUSED);
    assert_eq!(run(&mut server, "get a"), "1");
    assert_eq!(run(&mut server, "del a"), ":1");
    run(&mut server, "config set maxmemory 1gb");
    assert_eq!(run(&mut server, "set a 2"), "+OK");
}

#[test]
fn functions_are_refused_up_front_unless_their_flags_allow() {
    let mut server = short();
    assert_eq!(run(&mut server, "fcall plain 0"), REFUSED);
    assert_eq!(run(&mut server, "fcall_ro plain 0"), REFUSED);
    assert_eq!(run(&mut server, "fcall ro 0"), "1");
    assert_eq!(run(&mut server, "fcall oom 0"), "+OK");
    assert_eq!(show(&server.load("#!lua name=x\nredis.register_function('g', function() end)")), REFUSED);
}

#[test]
fn a_script_that_declares_nothing_is_stopped_where_it_needs_memory_until_it_has_written() {
    let mut server = short();
    let mut eval = |code: &str| show(&server.run(&[b"EVAL", code.as_bytes(), b"0"]));
    assert_eq!(eval("return 1"), ":1");
    assert!(eval("return redis.call('set', 'a', 2)").starts_with(&format!("{REFUSED} script: ")));
    assert_eq!(eval("redis.call('del', 'a') return redis.call('set', 'a', 2)"), "+OK");
    assert_eq!(eval("#!lua\nreturn 1"), REFUSED);
    assert_eq!(eval("#!lua flags=allow-oom\nreturn redis.call('set', 'a', 1)"), "+OK");
}

#[test]
fn nothing_is_queued_and_no_writing_transaction_executed() {
    let mut server = short();
    run(&mut server, "multi");
    assert_eq!(run(&mut server, "get a"), REFUSED);
    assert_eq!(run(&mut server, "exec"), "-EXECABORT Transaction discarded because of previous errors.");
    for (queued, answer) in [
        (
            "set a 5",
            "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
        ),
        ("get a", "[1]"),
    ] {
        let mut server = short();
        run(&mut server, "config set maxmemory 0");
        run(&mut server, "multi");
        run(&mut server, queued);
        let mut second = server.engine.connect();
        let limit: [&[u8]; 4] = [b"CONFIG", b"SET", b"maxmemory", b"1"];
        server.engine.execute(&mut second, &limit, server.now, &mut Default::default());
        assert_eq!(run(&mut server, "exec"), answer, "{queued}");
    }
}
