//! Runs the same steps on a real server and on the engine and says where they part.

use valkey_sim::engine::{Protocol, Reply};

use super::{
    differences::{self, UNORDERED},
    dump::{self, dump},
    real::Real,
    server::{Args, Server},
    simulated::Simulated,
    transcript::{self, START, Step},
};

/// Empties both servers and runs the steps on both. The error is a transcript that ends where they differ.
pub fn compare(real: &mut Real, ours: &mut Simulated, steps: &[Step]) -> Result<(), String> {
    ours.restart();
    for command in [&["RESET"][..], &["FLUSHALL"], &["FUNCTION", "FLUSH"]] {
        real.send(command);
    }
    real.set_clock(START);
    ours.set_clock(START);
    let mut transcript = String::new();
    for step in steps {
        match step {
            Step::Clock(now) => {
                real.set_clock(*now);
                ours.set_clock(*now);
                transcript += &format!("SIM CLOCK SET {}\n", now.millis());
            }
            Step::Library(args) | Step::Command(args) => {
                let line = transcript::write(args);
                let [theirs, mine] = [real.send(args), ours.send(args)].map(|reply| comparable(reply, args));
                let shown = transcript::show(&theirs);
                if theirs != mine && shown != transcript::show(&mine) {
                    let mine = transcript::show(&mine);
                    if !differences::is_known(&line, &shown, &mine) {
                        return Err(format!("\n{transcript}{line}\n    real: {shown}\n    ours: {mine}"));
                    }
                }
                transcript += &format!("{line}\n    {shown}\n");
            }
        }
    }
    // Dumps are read in RESP2.
    real.send(&["RESET"]);
    ours.session.protocol = Protocol::Resp2;
    let parted = dump::differences(&dump(real), &dump(ours));
    if parted.is_empty() { Ok(()) } else { Err(format!("\n{transcript}{}", parted.join("\n"))) }
}

/// A reply without the order that says nothing.
fn comparable(mut reply: Reply, args: &Args) -> Reply {
    let unordered = args.iter().find_map(|arg| {
        let name = arg.to_ascii_uppercase();
        UNORDERED.iter().find(|(unordered, _)| name == unordered.as_bytes())
    });
    if let Some((_, size)) = unordered {
        sort_all(&mut reply, *size);
    }
    reply
}

/// Sorts a reply and what is in it (`SSCAN` answers a cursor and a list).
fn sort_all(reply: &mut Reply, size: usize) {
    if let Reply::Array(items) = reply {
        items.iter_mut().for_each(|item| sort_all(item, size));
    }
    dump::sort(reply, size);
}
