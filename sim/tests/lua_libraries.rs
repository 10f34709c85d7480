//! `cmsgpack` and `struct`, as redis-server 7.0.15 answers.

use crate::common::Server;
use valkey_sim::engine::Reply;

/// What a script answers, as bytes or as an error.
fn eval(server: &mut Server, expression: &str) -> Result<Vec<u8>, String> {
    let code = format!("return {expression}");
    match server.run(&[b"EVAL", code.as_bytes(), b"0"]) {
        Reply::Bulk(bytes) => Ok(bytes.to_vec()),
        Reply::Error(error) => {
            let text = error.to_string();
            Err(text.split(" script: ").next().unwrap_or_default().replace("ERR user_script:1: ", ""))
        }
        other => Ok(crate::common::show(&other).into_bytes()),
    }
}

#[test]
fn cmsgpack_packs_each_value_in_its_shortest_form() {
    let mut server = Server::default();
    for (value, bytes) in [
        ("''", &b"\xa0"[..]),
        ("nil", b"\xc0"),
        ("cjson.null", b"\xc0"),
        ("tostring", b"\xc0"),
        ("true, false", b"\xc3\xc2"),
        ("{}", b"\x90"),
        ("{1,2,3}", b"\x93\x01\x02\x03"),
        ("{a=1}", b"\x81\xa1a\x01"),
        ("{[1]=1,[3]=2}", b"\x82\x01\x01\x03\x02"),
        ("{[0]=1}", b"\x81\x00\x01"),
        ("127, 128, -1, -33", b"\x7f\xcc\x80\xff\xd0\xdf"),
        ("2^31", b"\xce\x80\x00\x00\x00"),
        ("2^32", b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
        ("2^63", b"\xca\x5f\x00\x00\x00"),
        ("-2^63", b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
        ("1.5", b"\xca\x3f\xc0\x00\x00"),
        ("0.1", b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"),
        ("1/0", b"\xca\x7f\x80\x00\x00"),
        ("-0.0", b"\x00"),
        ("{1,{2,{3}}}", b"\x92\x01\x92\x02\x91\x03"),
    ] {
        assert_eq!(eval(&mut server, &format!("cmsgpack.pack({value})")).as_deref(), Ok(bytes), "{value}");
    }
    let none = "bad argument #0 to 'pack' (MessagePack pack needs input.)";
    assert_eq!(eval(&mut server, "cmsgpack.pack()"), Err(none.to_owned()));
}

#[test]
fn tables_nested_deeper_than_sixteen_are_packed_as_nil() {
    let mut server = Server::default();
    let packed = eval(&mut server, "(function() local t = {} t[1] = t return cmsgpack.pack(t) end)()");
    assert_eq!(packed, Ok([vec![0x91; 16], vec![0xc0]].concat()));
}

#[test]
fn cmsgpack_unpacks_what_it_packed_and_refuses_the_rest() {
    let mut server = Server::default();
    let round = "cjson.encode({cmsgpack.unpack(cmsgpack.pack({a={1,2,{b='x'}}}, 'y', -5, 1.25, {}))})";
    assert_eq!(eval(&mut server, round).unwrap(), br#"[{"a":[1,2,{"b":"x"}]},"y",-5,1.25,{}]"#);
    for (text, error) in [
        ("'\\147\\1'", "Missing bytes in input."),
        ("('\\145'):rep(20)", "Missing bytes in input."),
        ("'\\193'", "Bad data format in input."),
        ("'\\196\\1a'", "Bad data format in input."),
        ("'\\129\\192\\1'", "ERR table index is nil"),
        ("nil", "bad argument #1 to 'unpack' (string expected, got nil)"),
        ("('\\145'):rep(9000) .. '\\1'", "stack overflow (in function mp_decode_to_lua_array)"),
        (
            "('\\1'):rep(9000)",
            "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)",
        ),
    ] {
        assert_eq!(eval(&mut server, &format!("cmsgpack.unpack({text})")), Err(error.to_owned()), "{text}");
    }
    assert_eq!(eval(&mut server, "type(cmsgpack.unpack(('\\145'):rep(3990) .. '\\1'))").unwrap(), b"table");
}

#[test]
fn cmsgpack_unpacks_piece_by_piece() {
    let mut server = Server::default();
    for (call, answer) in [
        ("unpack_one('\\1\\2\\3')", "[:1 :1]"),
        ("unpack_one('\\1\\2\\3', 2)", "[:-1 :3]"),
        ("unpack_one('\\1\\2\\3', 3)", "[:-1]"),
        ("unpack_limit('\\1\\2\\3', 2)", "[:2 :1 :2]"),
        ("unpack_limit('\\1\\2\\3', 2, 1)", "[:-1 :2 :3]"),
        ("unpack_limit('\\1\\2\\3', 0)", "[:1 :2 :3]"),
    ] {
        let answered = eval(&mut server, &format!("{{cmsgpack.{call}}}")).unwrap();
        assert_eq!(String::from_utf8(answered).unwrap(), answer, "{call}");
    }
    let beyond = "Start offset 4 greater than input length 3.";
    assert_eq!(eval(&mut server, "cmsgpack.unpack_one('\\1\\2\\3', 4)"), Err(beyond.to_owned()));
    let negative = "Invalid request to unpack with offset of -1 and limit of 3.";
    assert_eq!(eval(&mut server, "cmsgpack.unpack_one('\\1\\2\\3', -1)"), Err(negative.to_owned()));
}

#[test]
fn struct_packs_as_c_lays_out() {
    let mut server = Server::default();
    for (arguments, bytes) in [
        ("'>I2', 258", &b"\x01\x02"[..]),
        ("'<i4', -2", b"\xfe\xff\xff\xff"),
        ("'!4bi', 1, 2", b"\x01\0\0\0\x02\0\0\0"),
        ("'!bd', 1, 2.5", b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x04\x40"),
        ("'s', 'abc'", b"abc\0"),
        ("'c3', 'abcd'", b"abc"),
        ("'c0', 'abc'", b"abc"),
        ("'f', 1.5", b"\0\0\xc0\x3f"),
        ("'x'", b"\0"),
        ("'L', 2^63", b"\0\0\0\0\0\0\0\x80"),
        ("'i8', 1e300", b"\0\0\0\0\0\0\0\0"),
        ("'I8', 0/0", b"\0\0\0\0\0\0\0\x80"),
        ("'b\\0b', 1, 2", b"\x01"),
    ] {
        assert_eq!(
            eval(&mut server, &format!("struct.pack({arguments})")).as_deref(),
            Ok(bytes),
            "{arguments}"
        );
    }
    for (arguments, error) in [
        ("'i33', 1", "integral size 33 is larger than limit of 32"),
        ("'i99999999999', 1", "integral size overflow"),
        ("'!3b', 1", "alignment 3 is not a power of 2"),
        ("'z', 1", "bad argument #1 to 'pack' (invalid format option 'z')"),
        ("'c5', 'ab'", "bad argument #3 to 'pack' (string too short)"),
        ("'i'", "bad argument #2 to 'pack' (number expected, got nil)"),
    ] {
        assert_eq!(eval(&mut server, &format!("struct.pack({arguments})")), Err(error.to_owned()));
    }
}

#[test]
fn struct_unpacks_and_measures() {
    let mut server = Server::default();
    for (call, answer) in [
        ("unpack('>I2', '\\1\\2')", "[:258 :3]"),
        ("unpack('i3', '\\255\\255\\255')", "[:-1 :4]"),
        ("unpack('Bc0', '\\2abc')", "[ab :4]"),
        ("unpack('sb', 'abc\\0d')", "[abc :100 :6]"),
        ("unpack('bb', 'abc', 2)", "[:98 :99 :4]"),
        ("unpack('i9', 'abcdefghi')", "[:-31 :10]"),
        ("size('bhilTfd x')", "[:36]"),
        ("size('!8bd')", "[:16]"),
    ] {
        let answered = eval(&mut server, &format!("{{struct.{call}}}")).unwrap();
        assert_eq!(String::from_utf8(answered).unwrap(), answer, "{call}");
    }
    for (call, error) in [
        ("unpack('i', 'abc')", "bad argument #2 to 'unpack' (data string too short)"),
        ("unpack('b', 'abc', 0)", "bad argument #3 to 'unpack' (offset must be 1 or greater)"),
        ("unpack('b', 'abc', -1)", "bad argument #2 to 'unpack' (data string too short)"),
        ("unpack('c0', 'abc')", "format 'c0' needs a previous size"),
        ("unpack('s', 'abc')", "unfinished string in data"),
        ("size('s')", "bad argument #1 to 'size' (option 's' has no fixed size)"),
    ] {
        assert_eq!(eval(&mut server, &format!("struct.{call}")), Err(error.to_owned()));
    }
}

#[test]
fn a_bare_pcall_fails_as_the_server_s_own_does() {
    let mut server = Server::default();
    let answered = eval(&mut server, "{tostring((pcall())), select(2, pcall())}").unwrap();
    assert_eq!(answered, b"[false attempt to call a boolean value]");
}
