//! Runs the same steps on a real server and on the engine and says where they part.

use std::mem;

use valkey_sim::engine::Reply;

use super::{
    differences::{self, UNORDERED},
    dump::{self, dump},
    real::Real,
    server::{Args, Server},
    simulated::Simulated,
    transcript::{self, START, Step},
};

/// The databases that sequences use.
pub const DATABASES: [&str; 3] = ["0", "1", "2"];

/// Empties both servers and runs the steps on both. The error is a transcript that ends where they differ.
pub fn compare(real: &mut Real, ours: &mut Simulated, steps: &[Step]) -> Result<(), String> {
    ours.restart();
    for command in [&["RESET"][..], &["FLUSHALL"], &["FUNCTION", "FLUSH"], &["SCRIPT", "FLUSH"]] {
        real.send(command);
    }
    real.send_over_other(&["RESET"]);
    real.set_clock(START);
    ours.set_clock(START);
    let mut transcript = String::new();
    let mut queued = Vec::new();
    for step in steps {
        let (args, replies) = match step {
            Step::Clock(now) => {
                real.set_clock(*now);
                ours.set_clock(*now);
                transcript += &format!("SIM CLOCK SET {}\n", now.millis());
                continue;
            }
            Step::Library(args) | Step::Command(args) => (args, [real.send(args), ours.send(args)]),
            Step::Other(args) => {
                transcript += "@ ";
                (args, [real.send_over_other(args), ours.send_over_other(args)])
            }
        };
        let line = transcript::write(args);
        let [theirs, mine] = replies;
        if theirs == Reply::Status("QUEUED".into()) && theirs == mine {
            queued.push(args.clone());
        }
        let executed = match &args[0].to_ascii_uppercase()[..] {
            b"EXEC" | b"DISCARD" | b"RESET" => mem::take(&mut queued),
            _ => Vec::new(),
        };
        if !agree(args, &executed, &theirs, &mine) {
            let [theirs, mine] = [theirs, mine].map(|reply| transcript::show(&reply));
            return Err(format!("\n{transcript}{line}\n    real: {theirs}\n    ours: {mine}"));
        }
        transcript += &format!("{line}\n    {}\n", transcript::show(&theirs));
    }
    for number in DATABASES {
        // Dumps are read in RESP2.
        for command in [&["RESET"][..], &["SELECT", number]] {
            real.send(command);
            ours.send(command);
        }
        let parted = dump::differences(&dump(real), &dump(ours));
        if !parted.is_empty() {
            return Err(format!("\n{transcript}SELECT {number}\n{}", parted.join("\n")));
        }
    }
    Ok(())
}

/// Whether two replies to a command say the same, or differ in a way that is known; those to the commands that an EXEC
/// `executed`, one by one.
fn agree(args: &Args, executed: &[Args], theirs: &Reply, mine: &Reply) -> bool {
    if let (Reply::Array(theirs), Reply::Array(mine)) = (theirs, mine)
        && !executed.is_empty()
        && [theirs.len(), mine.len()] == [executed.len(); 2]
    {
        let mut replies = executed.iter().zip(theirs.iter().zip(mine));
        return replies.all(|(args, (theirs, mine))| agree(args, &[], theirs, mine));
    }
    let [theirs, mine] = [theirs, mine].map(|reply| transcript::show(&comparable(reply.clone(), args)));
    theirs == mine || differences::is_known(&transcript::write(args), &theirs, &mine)
}

/// A reply without the order that says nothing.
fn comparable(mut reply: Reply, args: &Args) -> Reply {
    let has = |word: &str| args.iter().any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    if UNORDERED.iter().any(|name| has(name)) {
        let size = if has("WITHVALUES") || has("WITHSCORES") { 2 } else { 1 };
        sort_all(&mut reply, size);
    }
    reply
}

/// Sorts a reply and what is in it (`SSCAN` answers a cursor and a list, `FUNCTION LIST` maps with lists).
fn sort_all(reply: &mut Reply, size: usize) {
    match reply {
        Reply::Array(items) => items.iter_mut().for_each(|item| sort_all(item, size)),
        Reply::Map(pairs) => pairs.iter_mut().for_each(|(_, value)| sort_all(value, size)),
        _ => {}
    }
    dump::sort(reply, size);
}
