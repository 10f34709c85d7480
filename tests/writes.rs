//! The properties look at what stands in the keyspace and not at the commands that put it there: a library that writes the
//! same state by other commands is judged the same, and the same mutants die in it.
//!
//! A rewrite stands where a mutant does, between a library and the server, and breaks nothing.

use crate::common::{MINIMAL, PUBLISHED, SHORT, run, seeds_that_show, swarm, two_at_a_time, verdict};
use grantsim::{
    drive::Subject,
    library::{Library, Mutant},
    property::Verdict,
    trace::{Event, Trace, What},
};
use valkey_sim::engine::{Effects, ErrorReply, Reply};

/// Within so many each mutant shows itself.
const SEEDS_TO_DIE_IN: u64 = 60;

/// Each command by another that does the same: HMSET, UNLINK, a time from now for a moment, PSETEX, APPEND.
const BY_OTHER_NAMES: &str = "
return function(call, fn, keys, args, cmd, key, ...)
  local a, b, c = ...
  local given = select('#', ...)
  if cmd == 'HSET' then
    return call('HMSET', key, ...)
  elseif cmd == 'DEL' then
    return call('UNLINK', key, ...)
  elseif cmd == 'PEXPIREAT' and given == 1 then
    return call('PEXPIRE', key, string.format('%.0f', a - millis(call('TIME'))))
  elseif cmd == 'SET' and given == 3 and b == 'PX' and tonumber(c) and tonumber(c) > 0 then
    return call('PSETEX', key, c, a)
  elseif cmd == 'SET' and given == 1 then
    call('DEL', key)
    return call('APPEND', key, a)
  end
  return call(cmd, key, ...)
end
";

/// One field, member or score at a time; a hash goes when its last field does.
const PIECE_BY_PIECE: &str = "
local step = { HSET = 2, ZADD = 2, HDEL = 1, SADD = 1, SREM = 1, ZREM = 1 }
return function(call, fn, keys, args, cmd, key, ...)
  local given, sum = { ... }, 0
  if cmd == 'DEL' and #given == 0 and call('TYPE', key).ok == 'hash' then
    cmd, given = 'HDEL', call('HKEYS', key)
    for _, field in ipairs(given) do call('HDEL', key, field) end
    return 1
  end
  if not step[cmd] or #given % step[cmd] ~= 0 or (cmd == 'ZADD' and not tonumber(given[1])) then
    return call(cmd, key, ...)
  end
  for i = 1, #given, step[cmd] do sum = sum + call(cmd, key, unpack(given, i, i + step[cmd] - 1)) end
  return sum
end
";

/// Scores by their difference, sums by their result; what goes is moved aside first.
const IN_A_ROUNDABOUT_WAY: &str = "
return function(call, fn, keys, args, cmd, key, ...)
  local a, b = ...
  local given = select('#', ...)
  if cmd == 'ZADD' and given == 2 and tonumber(a) then
    local old = call('ZSCORE', key, b)
    call('ZINCRBY', key, string.format('%.0f', a - (old or 0)), b)
    return old and 0 or 1
  elseif cmd == 'HINCRBY' then
    local sum = (tonumber(call('HGET', key, a)) or 0) + b
    call('HSET', key, a, string.format('%.0f', sum))
    return sum
  elseif cmd == 'DEL' and given == 0 and call('EXISTS', key) == 1 then
    call('RENAME', key, key .. ':aside')
    return call('UNLINK', key .. ':aside')
  end
  return call(cmd, key, ...)
end
";

fn rewrites() -> [Mutant; 3] {
    let rewrite = |(name, source): (&str, &str)| Mutant {
        name: name.to_owned(),
        sentence: "Nothing is broken.".to_owned(),
        breaks: Vec::new(),
        libraries: Vec::new(),
        profile: None,
        source: source.to_owned(),
        file: None,
    };
    [
        ("by-other-names", BY_OTHER_NAMES),
        ("piece-by-piece", PIECE_BY_PIECE),
        ("in-a-roundabout-way", IN_A_ROUNDABOUT_WAY),
    ]
    .map(rewrite)
}

fn subject(library: Library) -> Subject {
    Subject::new(library).unwrap_or_else(|error| panic!("{error}"))
}

/// minimal.lua with another spelling of every HSET.
fn spelt_hmset() -> Library {
    let text = MINIMAL.library.source().replace("'HSET'", "'HMSET'");
    assert!(text.matches("'HMSET'").count() > 8, "minimal.lua writes no hashes any more");
    Library::from_source("minimal.lua with HMSET", &text).expect("its first line stays")
}

/// The events of a run without what the server wrote, and without the line of the library that raised: a rewrite moves it.
fn without_effects(trace: &Trace) -> Vec<Event> {
    let mut events = trace.events.clone();
    for event in &mut events {
        if let What::Executed(executed) = &mut event.what {
            executed.effects = Effects::default();
            if let Reply::Error(ErrorReply(text)) = &mut executed.reply {
                *text = text.split(" script: ").next().unwrap_or_default().to_owned().into();
            }
        }
    }
    events
}

fn line(event: &Event) -> String {
    serde_json::to_string(event).expect("an event is plain data")
}

/// Whether two runs are the same but for the commands that wrote, and are judged the same.
fn assert_same(what: &str, seed: u64, one: &Trace, other: &Trace) {
    let (told, other_told) = (without_effects(one), without_effects(other));
    for (event, other) in told.iter().zip(&other_told) {
        assert!(event == other, "{what}, seed {seed}:\n{}\n{}", line(event), line(other));
    }
    assert_eq!(told.len(), other_told.len(), "{what}, seed {seed}: one run goes on where the other ends");
    assert_eq!((&one.ended, &one.faults), (&other.ended, &other.faults), "{what}, seed {seed}");
    assert_eq!(without_lines(verdict(one)), without_lines(verdict(other)), "{what}, seed {seed}");
}

/// A verdict without the lines of the library that raised.
fn without_lines(mut verdict: Verdict) -> Verdict {
    for violation in &mut verdict.violations {
        violation.message = violation.message.split(" script: ").next().unwrap_or_default().to_owned();
    }
    verdict
}

#[test]
fn the_published_library_is_judged_the_same_by_whatever_commands_it_writes() {
    let rewritten = rewrites().map(|rewrite| subject(PUBLISHED.library.mutant(&rewrite)));
    two_at_a_time(SHORT, |seed| {
        let original = run(&swarm(seed), &PUBLISHED);
        for other in &rewritten {
            let trace = run(&swarm(seed), other);
            assert_same(other.library.version(), seed, &original, &trace);
            assert_ne!(effects(&original), effects(&trace), "{} rewrites nothing", other.library.version());
        }
    });
}

/// All that was written.
fn effects(trace: &Trace) -> Vec<&Effects> {
    fn written(event: &Event) -> Option<&Effects> {
        match &event.what {
            What::Executed(executed) => Some(&executed.effects),
            _ => None,
        }
    }
    trace.events.iter().filter_map(written).collect()
}

#[test]
fn a_mutant_shows_the_same_by_whatever_commands_it_writes() {
    let names =
        ["claim-without-grant", "keep-grant", "listed-among-active", "skip-epoch", "wrong-lane-in-grant"];
    let mutants = names.map(|name| Mutant::named(name).expect("a mutant of the program"));
    two_at_a_time(mutants, |mutant| {
        let library = PUBLISHED.library.mutant(&mutant);
        let rewritten = rewrites().map(|rewrite| subject(library.mutant(&rewrite)));
        let original = subject(library);
        let mut seeds = seeds_that_show(&mutant, &PUBLISHED.library, SEEDS_TO_DIE_IN);
        let shown = seeds.find(|seed| shows(&original, *seed, &mutant.breaks[0]));
        let seed = shown.unwrap_or_else(|| panic!("{} lives through {SEEDS_TO_DIE_IN} seeds", mutant.name));
        let trace = run(&swarm(seed), &original);
        for other in &rewritten {
            assert_same(other.library.version(), seed, &trace, &run(&swarm(seed), other));
        }
    });
}

#[test]
fn it_does_not_matter_how_a_hash_is_spelt() {
    let spelt = subject(spelt_hmset());
    two_at_a_time(SHORT, |seed| {
        let (one, other) = (run(&swarm(seed), &MINIMAL), run(&swarm(seed), &spelt));
        assert_same("minimal.lua with HMSET", seed, &one, &other);
    });
    let mutant = Mutant::named("keep-grant").expect("a mutant of the program");
    assert!(shows(&subject(spelt_hmset().mutant(&mutant)), 0, &mutant.breaks[0]), "keep-grant lives");
}

fn shows(subject: &Subject, seed: u64, kind: &str) -> bool {
    let violations = verdict(&run(&swarm(seed), subject)).violations;
    violations.iter().any(|violation| violation.fingerprint.kind_name().to_string() == kind)
}
