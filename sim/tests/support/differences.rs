//! What is known to differ between the engine and a real server, or deliberately does, and why. Nothing else may.

/// Replies whose order is the server's own affair: compared as sets of groups of this many (a hash's fields with
/// their values). Big hashes, and sets of strings, come in the order of a hash table with a random seed.
pub const UNORDERED: &[(&str, usize)] =
    &[("KEYS", 1), ("SMEMBERS", 1), ("SINTER", 1), ("SUNION", 1), ("SDIFF", 1), ("SCAN", 1), ("SSCAN", 1)];

/// Commands of the grammar's families that no sequence has, since their replies are random or are about the server
/// rather than its data: `RANDOMKEY SPOP SRANDMEMBER HRANDFIELD ZRANDMEMBER INFO CLIENT CONFIG COMMAND MEMORY`. The
/// engine draws from its own seed; what it may draw is tested in the families' own tests.
pub const RANDOM: &str = "RANDOMKEY SPOP SRANDMEMBER HRANDFIELD ZRANDMEMBER";

/// Whether two replies to a command, both on one line, differ only in a way that is known.
pub fn is_known(command: &str, real: &str, ours: &str) -> bool {
    KNOWN.iter().any(|known| (known.matches)(command, real, ours))
}

/// A difference that is known.
pub struct Known {
    /// Why it is there.
    pub reason: &'static str,
    /// Whether this is it: the command's line, the real reply, the engine's.
    pub matches: fn(&str, &str, &str) -> bool,
}

/// All known differences.
pub const KNOWN: &[Known] = &[
    Known {
        reason: "a server's first client is not always number 1: it has clients of its own",
        matches: |line, real, ours| line.starts_with("HELLO") && without_id(real) == without_id(ours),
    },
    Known {
        reason: "a server's encoding of a string tells how it came to be (APPEND and SETRANGE leave it raw); the \
                 engine's tells what it is",
        matches: |line, real, ours| {
            let of_a_string = |reply: &str| ["$3 int", "$3 raw", "$6 embstr"].contains(&reply);
            line.contains("OBJECT ENCODING") && of_a_string(real) && of_a_string(ours)
        },
    },
    Known {
        reason: "how far one SSCAN with a small COUNT comes depends on the server's hash table",
        matches: |line, real, ours| {
            let partial =
                line.to_ascii_uppercase().contains("SSCAN") && line.to_ascii_uppercase().contains("COUNT");
            partial && real.contains("*2 $") && ours.contains("*2 $")
        },
    },
    Known {
        reason: "of two complaints about one call from a script the engine makes the other: it counts the arguments \
                 of a subcommand when it has come that far",
        matches: |_, real, ours| {
            real.contains("Wrong number of args calling")
                && ours.contains("Write commands are not allowed from read-only scripts")
        },
    },
];

/// A reply to HELLO without the client's number.
fn without_id(reply: &str) -> String {
    let words: Vec<_> = reply.split(' ').collect();
    let id = words.iter().position(|word| *word == "id").map_or(words.len(), |at| at + 1);
    words.iter().enumerate().filter(|(at, _)| *at != id).map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}
