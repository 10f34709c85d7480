//! A queue library that others wrote for a real server works against the simulated one unchanged: RSMQ, which leases
//! its messages. Over a socket the test turns the clock; in a world it cuts a worker off.

use std::time::Duration;

use crate::common::{program::Program, world};
use madsim::{runtime::Runtime, task::spawn_local, time::sleep};
use redis::ProtocolVersion;
use rsmq_async::{Rsmq, RsmqConnection, RsmqOptions, RsmqResult};
use valkey_sim::{
    engine::Reply,
    link::{Direction, HostId, Network},
};

const LEASE: Duration = Duration::from_secs(30);

/// Runs on real sockets what must not take real time: the clock is turned where a program would wait.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

fn advance(server: &Program, by: Duration) {
    let turned = server.connect().ask(&format!("SIM CLOCK ADVANCE {}", by.as_millis()));
    assert!(matches!(turned, Reply::Array(_)), "{turned:?}");
}

async fn queue(server: &Program, protocol: ProtocolVersion) -> RsmqResult<Rsmq> {
    let address = server.address();
    let (host, port) = (address.ip().to_string(), address.port());
    Rsmq::new(RsmqOptions { host, port, protocol, ..RsmqOptions::default() }).await
}

async fn receive(worker: &mut Rsmq) -> RsmqResult<Option<(String, u64)>> {
    let received = worker.receive_message_or_dlq::<String>("jobs", None, "dead", 2).await?;
    Ok(received.map(|message| (message.message, message.rc)))
}

#[test]
fn a_queues_message_comes_back_when_its_lease_ends_and_is_put_aside_after_two() {
    for (dialect, protocol) in [("valkey-8", ProtocolVersion::RESP3), ("redis-7", ProtocolVersion::RESP2)] {
        let server = Program::start(&["--clock", "manual", "--dialect", dialect]);
        let worked: RsmqResult<()> = block_on(async {
            let mut ours = queue(&server, protocol).await?;
            let mut theirs = queue(&server, protocol).await?;
            for name in ["jobs", "dead"] {
                ours.create_queue(name, Some(LEASE), None, None).await?;
            }
            ours.send_message("jobs", "job", None).await?;
            let job = |count| Some(("job".to_owned(), count));

            assert_eq!(receive(&mut ours).await?, job(1));
            advance(&server, LEASE - Duration::from_millis(1));
            assert_eq!(receive(&mut theirs).await?, None, "leased to its last millisecond");
            advance(&server, Duration::from_millis(1));
            assert_eq!(receive(&mut theirs).await?, job(2), "nobody's any more");
            advance(&server, LEASE);
            assert_eq!(receive(&mut ours).await?, None, "given up");

            let dead = ours.pop_message::<String>("dead").await?.map(|message| message.message);
            assert_eq!(dead.as_deref(), Some("job"));
            assert_eq!(ours.get_queue_attributes("jobs").await?.msgs, 0);
            Ok(())
        });
        worked.unwrap_or_else(|error| panic!("{dialect}: {error}"));
    }
}

async fn queue_in(network: &Network, host: HostId) -> Rsmq {
    let connection = world::connect(network, host).await;
    Rsmq::new_with_connection(connection, false, None).await.expect("its scripts load")
}

#[test]
fn a_queues_message_is_worked_on_twice_when_its_first_worker_is_cut_off_for_longer_than_its_lease() {
    let runtime = Runtime::with_seed_and_config(1, madsim::Config::default());
    let worked: RsmqResult<()> = runtime.block_on(async {
        let network = world::serve(1);
        let (left, right) = (HostId(1), HostId(2));
        let mut ours = queue_in(&network, left).await;
        let mut theirs = queue_in(&network, right).await;
        ours.create_queue("jobs", Some(LEASE), None, None).await?;
        let id = ours.send_message("jobs", "job", None).await?;
        let first = ours.receive_message::<String>("jobs", None).await?.expect("it is there");

        // It finishes at once, and its word is held up.
        network.partition(left, world::SERVER, Direction::Both);
        let finished = spawn_local(async move { ours.delete_message("jobs", &first.id).await });
        sleep(LEASE + Duration::from_millis(10)).await;
        let second = theirs.receive_message::<String>("jobs", None).await?.expect("its lease ended");
        assert_eq!((&second.id, second.rc), (&id, 2));

        // The queue has no fence: who no longer holds the lease ends the work of the one who does.
        network.heal(left, world::SERVER);
        assert!(finished.await.expect("the worker lives")?);
        assert!(!theirs.delete_message("jobs", &second.id).await?);
        Ok(())
    });
    worked.unwrap_or_else(|error| panic!("{error}"));
}
