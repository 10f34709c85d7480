//! All that a server holds, in a form that compares: types, expiries and contents, in an order that says nothing.

use std::collections::BTreeMap;

use valkey_sim::engine::Reply;

use super::{
    server::{Args, Server},
    transcript,
};

/// What is under each key.
pub type Dump = BTreeMap<Vec<u8>, String>;

/// Asks a server, in the protocol in force, for all it holds. Keys that have expired are not there.
pub fn dump(server: &mut impl Server) -> Dump {
    let keys: Vec<Vec<u8>> = bulks(&server.send(&["KEYS", "*"]));
    let about: Vec<Args> = keys
        .iter()
        .flat_map(|key| [vec![b"TYPE".to_vec(), key.clone()], vec![b"PEXPIRETIME".to_vec(), key.clone()]])
        .collect();
    let about = server.send_all(&about);
    let types: Vec<&str> = about.iter().step_by(2).map(type_name).collect();
    let questions: Vec<Vec<Args>> = keys.iter().zip(&types).map(|(key, kind)| contents(key, kind)).collect();
    let mut answers = server.send_all(&questions.concat()).into_iter();
    let mut dump = Dump::new();
    for (index, (key, questions)) in keys.into_iter().zip(&questions).enumerate() {
        let kind = types[index];
        let mut text = format!("{kind}, expires at {}", transcript::show(&about[2 * index + 1]));
        for mut answer in answers.by_ref().take(questions.len()) {
            match kind {
                "set" => sort(&mut answer, 1),
                "hash" => sort(&mut answer, 2),
                _ => {}
            }
            text.push_str(": ");
            text.push_str(&transcript::show(&answer));
        }
        dump.insert(key, text);
    }
    dump
}

/// What differs between two dumps, a line each.
pub fn differences(real: &Dump, ours: &Dump) -> Vec<String> {
    let mut lines = Vec::new();
    let mut keys: Vec<_> = real.keys().chain(ours.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (real, ours) = (real.get(key), ours.get(key));
        if real != ours {
            let show = |side: Option<&String>| side.map_or("(none)", String::as_str).to_owned();
            lines.push(format!(
                "key {}\n    real: {}\n    ours: {}",
                key.escape_ascii(),
                show(real),
                show(ours)
            ));
        }
    }
    lines
}

/// The commands that read a key of this type whole.
fn contents(key: &[u8], kind: &str) -> Vec<Args> {
    let command = |words: &[&str]| {
        let mut args = vec![words[0].as_bytes().to_vec(), key.to_vec()];
        args.extend(words[1..].iter().map(|word| word.as_bytes().to_vec()));
        args
    };
    match kind {
        "string" => vec![command(&["GET"])],
        "hash" => vec![command(&["HGETALL"])],
        "list" => vec![command(&["LRANGE", "0", "-1"])],
        "set" => vec![command(&["SMEMBERS"])],
        "zset" => vec![command(&["ZRANGE", "0", "-1", "WITHSCORES"])],
        "stream" => vec![
            command(&["XRANGE", "-", "+"]),
            ["XINFO", "STREAM"].iter().map(|word| word.as_bytes().to_vec()).chain([key.to_vec()]).collect(),
            ["XINFO", "GROUPS"].iter().map(|word| word.as_bytes().to_vec()).chain([key.to_vec()]).collect(),
        ],
        _ => vec![],
    }
}

/// Sorts an unordered reply whose items come in groups of `size` (a hash's fields with their values, in RESP2).
pub fn sort(reply: &mut Reply, size: usize) {
    match reply {
        Reply::Array(items) | Reply::Set(items) if items.len().is_multiple_of(size) => {
            let mut groups: Vec<Vec<Reply>> = items.chunks_exact(size).map(<[Reply]>::to_vec).collect();
            groups.sort_by_key(|group| group.iter().map(transcript::show).collect::<Vec<_>>());
            *items = groups.concat();
        }
        Reply::Map(pairs) => pairs.sort_by_key(|(key, _)| transcript::show(key)),
        _ => {}
    }
}

fn bulks(reply: &Reply) -> Vec<Vec<u8>> {
    match reply {
        Reply::Array(items) => items.iter().filter_map(|item| match item {
            Reply::Bulk(bytes) => Some(bytes.to_vec()),
            _ => None,
        }),
        other => panic!("KEYS answers an array, not {other:?}"),
    }
    .collect()
}

fn type_name(reply: &Reply) -> &str {
    match reply {
        Reply::Status(name) => name,
        other => panic!("TYPE answers a status, not {other:?}"),
    }
}
