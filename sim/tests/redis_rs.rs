//! redis-rs, a client in daily use, works against the simulated server unchanged: over a real socket, and over a
//! simulated link inside a madsim world.

use std::{thread, time::Duration};

use crate::common::{program::Program, world};
use madsim::runtime::Runtime;
use redis::{AsyncCommands, RedisResult, Value};
use valkey_sim::link::HostId;

/// What a program does with redis-rs: single commands, a pipeline, a stream, a function.
async fn works_a_shift(connection: &mut impl AsyncCommands) -> RedisResult<()> {
    let _: () = connection.hset_multiple("job", &[("state", "ready"), ("lane", "a")]).await?;
    let _: () = connection.zadd_multiple("due", &[(20, "late"), (10, "soon")]).await?;
    let due: Vec<(String, f64)> = connection.zrangebyscore_withscores("due", "-inf", 15).await?;
    assert_eq!(due, [("soon".to_owned(), 10.0)]);

    let mut pipe = redis::pipe();
    for _ in 0..100 {
        pipe.incr("n", 1);
    }
    let counts: Vec<u64> = pipe.query_async(connection).await?;
    assert_eq!(counts, (1..=100).collect::<Vec<_>>());

    let id: String =
        redis::cmd("XADD").arg(&["log", "1-1", "what", "claimed"]).query_async(connection).await?;
    let log: Vec<(String, Vec<(String, String)>)> =
        redis::cmd("XRANGE").arg(&["log", "-", "+"]).query_async(connection).await?;
    assert_eq!(log, [(id, vec![("what".to_owned(), "claimed".to_owned())])]);

    let library = "#!lua name=l\nredis.register_function('lane', function(keys, args)\n\
                   return redis.call('HGET', keys[1], args[1])\nend)";
    let _: Value = redis::cmd("FUNCTION").arg("LOAD").arg(library).query_async(connection).await?;
    let lane: String =
        redis::cmd("FCALL").arg("lane").arg(1).arg("job").arg("lane").query_async(connection).await?;
    assert_eq!(lane, "a");

    let wrong: RedisResult<i64> = connection.incr("job", 1).await;
    assert_eq!(wrong.unwrap_err().code(), Some("WRONGTYPE"));
    Ok(())
}

#[test]
fn works_over_a_socket_and_sees_the_clock_turned() {
    let program = Program::manual();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for protocol in ["resp2", "resp3"] {
        let url = format!("redis://{}/?protocol={protocol}", program.address());
        let worked: RedisResult<()> = runtime.block_on(async {
            let client = redis::Client::open(url)?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await?;
            let _: () = redis::cmd("FUNCTION").arg("FLUSH").query_async(&mut connection).await?;
            works_a_shift(&mut connection).await?;

            let _: () = connection.pset_ex("grant", "g", 50).await?;
            let _: Value =
                redis::cmd("SIM").arg(&["CLOCK", "ADVANCE", "51"]).query_async(&mut connection).await?;
            let grant: Option<String> = connection.get("grant").await?;
            assert_eq!(grant, None);
            Ok(())
        });
        worked.unwrap_or_else(|error| panic!("{protocol}: {error}"));
    }
}

/// One client's shift in a world of its own; returns how long it took there, and the digest of what it left.
async fn shift_in_a_world(seed: u64) -> (u64, String) {
    let network = world::serve(seed);
    let mut connection = world::connect(&network, HostId(1)).await;
    works_a_shift(&mut connection).await.unwrap();

    let _: () = connection.pset_ex("grant", "g", 50).await.unwrap();
    madsim::time::sleep(Duration::from_millis(52)).await;
    let grant: Option<String> = connection.get("grant").await.unwrap();
    assert_eq!(grant, None);

    // Here the clock is the node's: it is shown, and not turned.
    let shown: Value = redis::cmd("SIM").arg("CLOCK").query_async(&mut connection).await.unwrap();
    assert!(matches!(shown, Value::Array(_)), "{shown:?}");
    let turned: RedisResult<Value> =
        redis::cmd("SIM").arg(&["CLOCK", "ADVANCE", "1"]).query_async(&mut connection).await;
    let error = turned.unwrap_err().to_string();
    assert!(error.contains("this server's clock cannot be turned"), "{error}");
    let digest = redis::cmd("SIM").arg("DIGEST").query_async(&mut connection).await.unwrap();
    (network.now().0, digest)
}

#[test]
fn works_over_a_simulated_link_and_the_same_seed_takes_the_same_time() {
    let run = |seed| {
        let world = move || {
            let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
            runtime.block_on(shift_in_a_world(seed))
        };
        thread::spawn(world).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    };
    let (took, digest) = run(1);
    assert_eq!(run(1), (took, digest.clone()));
    let (other, same_data) = run(2);
    assert_ne!(other, took);
    assert_eq!(same_data, digest);
}
