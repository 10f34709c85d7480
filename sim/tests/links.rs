//! Links: every row of the table of connection behaviours, and what holds for all of them.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle, Runtime};
use madsim::task::spawn_local;
use madsim::time::{sleep, timeout};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use valkey_sim::link::{Delay, Direction, Fate, HostId, Latency, Network, Stream};
use valkey_sim::random::Random;

const CLIENT: HostId = HostId(1);
const SERVER: HostId = HostId(2);

/// One way takes a millisecond, always; the next try after a partition comes at once.
const EVEN: Latency = Latency { base_us: 1_000, jitter_us: 0, loss_ppm: 0, retransmit_ms: 0 };

/// Nothing about it is even.
const ROUGH: Latency = Latency { base_us: 100, jitter_us: 5_000, loss_ppm: 100_000, retransmit_ms: 30 };

/// Runs a world in a thread of its own, as the harness does.
fn simulate<F: Future<Output: Send>>(seed: u64, world: impl FnOnce() -> F + Send) -> F::Output {
    std::thread::scope(|scope| {
        let run = scope.spawn(move || {
            Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(async { world().await })
        });
        run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

thread_local! {
    /// madsim takes a node's first task as a `Send` closure, which the handles of one world are not.
    static FIRST_TASK: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>> = const { RefCell::new(None) };
}

/// A process: something that can be paused and killed.
fn process(task: impl Future<Output = ()> + 'static) -> NodeHandle {
    FIRST_TASK.set(Some(Box::pin(task)));
    let first = || FIRST_TASK.take().expect("a process is started once");
    Handle::current().create_node().init(first).build()
}

fn kill(network: &Network, host: HostId, process: &NodeHandle) {
    network.kill(host);
    Handle::current().kill(process.id());
}

async fn millis(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// A connection: the client's end, the server's.
async fn connected(network: &Network) -> (Stream, Stream) {
    let listener = network.listen(SERVER);
    let client = network.connect(CLIENT, SERVER).await.unwrap();
    (client, listener.accept().await)
}

/// What an end hears within a time.
#[derive(Debug, PartialEq)]
enum Heard {
    Bytes(String),
    End,
    Reset,
    Nothing,
}

fn bytes(text: &str) -> Heard {
    Heard::Bytes(text.into())
}

async fn hear(stream: &mut Stream, within_ms: u64) -> Heard {
    let mut buf = [0; 64];
    match timeout(Duration::from_millis(within_ms), stream.read(&mut buf)).await {
        Err(_) => Heard::Nothing,
        Ok(Ok(0)) => Heard::End,
        Ok(Ok(count)) => Heard::Bytes(String::from_utf8(buf[..count].to_vec()).unwrap()),
        Ok(Err(error)) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            Heard::Reset
        }
    }
}

/// A server that answers each request with itself, for ever.
async fn echo(network: Network) {
    let listener = network.listen(SERVER);
    loop {
        let mut stream = listener.accept().await;
        spawn_local(async move {
            let mut buf = [0; 64];
            while let Ok(count @ 1..) = stream.read(&mut buf).await {
                if stream.write_all(&buf[..count]).await.is_err() {
                    return;
                }
            }
        });
    }
}

mod connect {
    use super::*;

    #[test]
    fn server_up_connected_after_a_round_trip() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let began = network.now();
            let (client, server) = connected(&network).await;
            assert_eq!(network.now(), began.after(2_000));
            assert_eq!((client.host(), client.peer()), (CLIENT, SERVER));
            assert_eq!((server.host(), server.peer()), (SERVER, CLIENT));
        });
    }

    #[test]
    fn process_down_host_up_refused_after_a_round_trip() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let began = network.now();
            let refused = network.connect(CLIENT, SERVER).await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
            assert_eq!(network.now(), began.after(2_000));

            drop(network.listen(SERVER));
            assert!(network.connect(CLIENT, SERVER).await.is_err(), "a listener that was dropped");
        });
    }

    #[test]
    fn across_a_partition_nothing_until_its_own_connect_timeout() {
        for (is_up, direction) in
            [(true, Direction::Both), (true, Direction::OneWay), (false, Direction::Both)]
        {
            for (a, b) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
                simulate(1, move || async move {
                    let network = Network::new(1, EVEN);
                    let _listener = is_up.then(|| network.listen(SERVER));
                    network.partition(a, b, direction);
                    let attempt = timeout(Duration::from_secs(60), network.connect(CLIENT, SERVER));
                    assert!(attempt.await.is_err());
                });
            }
        }
    }

    #[test]
    fn that_waits_out_a_partition_succeeds_after_it_heals() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let _listener = network.listen(SERVER);
            network.partition(CLIENT, SERVER, Direction::Both);
            let attempt = spawn_local(network.connect(CLIENT, SERVER));
            millis(500).await;
            network.heal(CLIENT, SERVER);
            let healed = network.now();
            attempt.await.unwrap().unwrap();
            assert_eq!(network.now(), healed.after(2_000));
        });
    }

    #[test]
    fn to_a_server_that_does_not_accept_is_refused_when_its_backlog_is_full() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let listener = network.listen(SERVER);
            let mut waiting = Vec::new();
            for nth in 1..=511 {
                let stream = network.connect(CLIENT, SERVER).await;
                waiting.push(stream.unwrap_or_else(|error| panic!("connection {nth}: {error}")));
            }
            let began = network.now();
            let refused = network.connect(HostId(3), SERVER).await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
            assert_eq!(network.now(), began.after(2_000));
            listener.accept().await;
            network.connect(HostId(3), SERVER).await.expect("there is room for one");
            assert!(network.connect(HostId(3), SERVER).await.is_err(), "and for no more");
        });
    }

    #[test]
    fn that_reaches_a_host_whose_process_has_been_killed_is_refused_and_one_that_it_had_heard_of_is_reset() {
        use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};
        for (killed_after_us, kind) in [(500, ConnectionRefused), (1_500, ConnectionReset)] {
            simulate(1, move || async move {
                let network = Network::new(1, EVEN);
                let _listener = network.listen(SERVER);
                let began = network.now();
                let attempt = spawn_local(network.connect(CLIENT, SERVER));
                network.clock().sleep_until(began.after(killed_after_us)).await;
                network.kill(SERVER);
                assert_eq!(attempt.await.unwrap().unwrap_err().kind(), kind);
            });
        }
    }

    #[test]
    fn while_the_server_is_killed_ends_in_a_refusal_or_a_reset_and_never_in_silence() {
        for killed_after_us in (0..2_500).step_by(100) {
            simulate(1, move || async move {
                let network = Network::new(1, EVEN);
                let server = process(echo(network.clone()));
                millis(1).await;
                let attempt = spawn_local(network.connect(CLIENT, SERVER));
                network.clock().sleep_until(network.now().after(killed_after_us)).await;
                kill(&network, SERVER, &server);
                if let Ok(mut stream) = timeout(Duration::from_secs(1), attempt).await.unwrap().unwrap() {
                    assert_eq!(hear(&mut stream, 1_000).await, Heard::Reset);
                }
            });
        }
    }
}

mod partition {
    use super::*;

    #[test]
    fn open_connection_bytes_are_held_and_arrive_whole_and_in_order_after_it_heals() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            client.write_all(b"before ").await.unwrap();
            millis(2).await;
            client.write_all(b"in flight ").await.unwrap();
            network.partition(CLIENT, SERVER, Direction::Both);
            client.write_all(b"during ").await.unwrap();
            server.write_all(b"answer").await.unwrap();
            assert_eq!(hear(&mut server, 10).await, bytes("before "), "it had landed");
            assert_eq!(hear(&mut server, 10_000).await, Heard::Nothing);
            assert_eq!(hear(&mut client, 10_000).await, Heard::Nothing);

            network.heal(CLIENT, SERVER);
            client.write_all(b"after").await.unwrap();
            let mut request = [0; 22];
            server.read_exact(&mut request).await.unwrap();
            assert_eq!(&request, b"in flight during after");
            assert_eq!(hear(&mut client, 10).await, bytes("answer"));
        });
    }

    #[test]
    fn one_way_requests_arrive_replies_do_not() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            network.partition(SERVER, CLIENT, Direction::OneWay);
            client.write_all(b"request").await.unwrap();
            assert_eq!(hear(&mut server, 10).await, bytes("request"));
            server.write_all(b"reply").await.unwrap();
            assert_eq!(hear(&mut client, 10_000).await, Heard::Nothing);
            network.heal(CLIENT, SERVER);
            assert_eq!(hear(&mut client, 10).await, bytes("reply"));
        });
    }

    #[test]
    fn one_way_the_other_way_replies_arrive_requests_do_not() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            network.partition(CLIENT, SERVER, Direction::OneWay);
            client.write_all(b"request").await.unwrap();
            server.write_all(b"pushed").await.unwrap();
            assert_eq!(hear(&mut client, 10).await, bytes("pushed"));
            assert_eq!(hear(&mut server, 10_000).await, Heard::Nothing);
            network.heal(CLIENT, SERVER);
            assert_eq!(hear(&mut server, 10).await, bytes("request"));
        });
    }

    #[test]
    fn heals_in_both_directions_whichever_host_is_named_first() {
        for (a, b) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            simulate(1, move || async move {
                let network = Network::new(1, EVEN);
                let (mut client, mut server) = connected(&network).await;
                network.partition(CLIENT, SERVER, Direction::Both);
                network.heal(a, b);
                client.write_all(b"request").await.unwrap();
                server.write_all(b"reply").await.unwrap();
                assert_eq!(hear(&mut server, 10).await, bytes("request"));
                assert_eq!(hear(&mut client, 10).await, bytes("reply"));
            });
        }
    }

    #[test]
    fn that_begins_in_the_microsecond_in_which_something_lands_still_holds_it() {
        for (early_us, heard) in [(0, Heard::Nothing), (1, bytes("request"))] {
            simulate(1, move || async move {
                let network = Network::new(1, EVEN);
                let (mut client, mut server) = connected(&network).await;
                client.write_all(b"request").await.unwrap();
                network.clock().sleep_until(network.now().after(1_000 + early_us)).await;
                network.partition(CLIENT, SERVER, Direction::Both);
                assert_eq!(hear(&mut server, 1_000).await, heard);
            });
        }
    }

    #[test]
    fn that_begins_again_while_it_holds_is_one_partition_from_the_first_on() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            client.write_all(b"request").await.unwrap();
            network.partition(CLIENT, SERVER, Direction::Both);
            millis(5).await;
            network.partition(CLIENT, SERVER, Direction::Both);
            assert_eq!(
                hear(&mut server, 10_000).await,
                Heard::Nothing,
                "it was under way when the first one began"
            );
            network.heal(CLIENT, SERVER);
            assert_eq!(hear(&mut server, 10).await, bytes("request"), "one healing ends both");
        });
    }

    #[test]
    fn that_healed_may_come_again_and_holds_what_is_sent_then() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            for word in ["one", "two", "three"] {
                network.partition(CLIENT, SERVER, Direction::Both);
                client.write_all(word.as_bytes()).await.unwrap();
                assert_eq!(hear(&mut server, 1_000).await, Heard::Nothing);
                network.heal(CLIENT, SERVER);
                assert_eq!(hear(&mut server, 10).await, bytes(word));
            }
        });
    }

    #[test]
    fn parts_two_hosts_and_no_others() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            network.partition(HostId(3), SERVER, Direction::Both);
            client.write_all(b"request").await.unwrap();
            assert_eq!(hear(&mut server, 10).await, bytes("request"));
        });
    }

    #[test]
    fn that_heals_is_noticed_with_the_next_try() {
        simulate(1, || async {
            let network = Network::new(1, Latency { retransmit_ms: 200, ..EVEN });
            let (mut client, mut server) = connected(&network).await;
            network.partition(CLIENT, SERVER, Direction::Both);
            client.write_all(b"request").await.unwrap();
            millis(1_000).await;
            network.heal(CLIENT, SERVER);
            let healed = network.now();
            assert_eq!(hear(&mut server, 1_000).await, bytes("request"));
            assert!((healed.after(1_000)..=healed.after(201_000)).contains(&network.now()));
        });
    }
}

mod kill {
    use super::*;

    /// A server that writes the alphabet, a letter every 100 µs, to the first who connects.
    async fn dictate(network: Network) {
        let mut stream = network.listen(SERVER).accept().await;
        for letter in b'a'..=b'z' {
            stream.write_all(&[letter]).await.unwrap();
            network.clock().sleep_until(network.now().after(100)).await;
        }
        std::future::pending().await
    }

    #[test]
    fn process_killed_the_peer_has_received_some_prefix_of_what_was_in_flight_then_a_reset() {
        let lengths = (0..50u64).map(|seed| {
            simulate(seed, move || async move {
                let network = Network::new(seed, EVEN);
                let server = process(dictate(network.clone()));
                millis(1).await;
                let mut client = network.connect(CLIENT, SERVER).await.unwrap();
                millis(2).await;
                kill(&network, SERVER, &server);
                let mut text = String::new();
                let last = loop {
                    match hear(&mut client, 1_000).await {
                        Heard::Bytes(more) => text += &more,
                        last => break last,
                    }
                };
                assert_eq!(last, Heard::Reset);
                assert!("abcdefghijklmnopqrstuvwxyz".starts_with(&text), "{text}");
                assert!(client.write_all(b"?").await.is_err());
                assert!(network.connect(CLIENT, SERVER).await.is_err(), "nobody listens there any more");
                text.len()
            })
        });
        let lengths = std::collections::BTreeSet::from_iter(lengths);
        assert!(lengths.len() > 5, "the prefix is not always the same: {lengths:?}");
    }

    #[test]
    fn killed_behind_a_partition_nothing_until_it_heals_then_a_reset() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let server = process(echo(network.clone()));
            millis(1).await;
            let mut client = network.connect(CLIENT, SERVER).await.unwrap();
            network.partition(CLIENT, SERVER, Direction::Both);
            kill(&network, SERVER, &server);
            client.write_all(b"request").await.unwrap();
            assert_eq!(hear(&mut client, 60_000).await, Heard::Nothing);
            network.heal(CLIENT, SERVER);
            assert_eq!(hear(&mut client, 10).await, Heard::Reset);
        });
    }

    #[test]
    fn killed_behind_a_partition_what_it_held_never_arrives() {
        for seed in 0..20 {
            simulate(seed, move || async move {
                let network = Network::new(seed, EVEN);
                let (mut client, mut server) = connected(&network).await;
                server.write_all(b"landed").await.unwrap();
                millis(2).await;
                server.write_all(b"under way").await.unwrap();
                network.partition(CLIENT, SERVER, Direction::Both);
                server.write_all(b"held").await.unwrap();
                millis(10).await;
                network.kill(SERVER);
                assert_eq!(hear(&mut client, 60_000).await, bytes("landed"));
                assert_eq!(hear(&mut client, 60_000).await, Heard::Nothing);
                network.heal(CLIENT, SERVER);
                assert_eq!(hear(&mut client, 10).await, Heard::Reset);
            });
        }
    }

    #[test]
    fn of_a_process_refuses_whoever_connects_from_that_moment_on() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let _listener = network.listen(SERVER); // What the process held is dropped only later.
            network.kill(SERVER);
            let refused = network.connect(CLIENT, SERVER).await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        });
    }

    #[test]
    fn process_killed_what_waited_behind_a_delayed_write_is_in_flight_too() {
        let lengths = (0..60u64).map(|seed| {
            simulate(seed, move || async move {
                let network = Network::new(seed, EVEN);
                let (mut client, mut server) = connected(&network).await;
                server.delay_next_write(Delay::By(Duration::from_millis(500)));
                server.write_all(b"late").await.unwrap();
                server.write_all(b"behind").await.unwrap();
                millis(100).await;
                network.kill(SERVER);
                let mut text = String::new();
                while let Heard::Bytes(more) = hear(&mut client, 10_000).await {
                    text += &more;
                }
                assert!("latebehind".starts_with(&text), "{text}");
                text.len()
            })
        });
        let lengths = std::collections::BTreeSet::from_iter(lengths);
        assert!(lengths.len() > 5 && lengths.contains(&0), "{lengths:?}");
    }

    #[test]
    fn a_partition_of_the_other_direction_keeps_the_reset_from_nobody() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, _server) = connected(&network).await;
            network.partition(CLIENT, SERVER, Direction::OneWay);
            network.kill(SERVER);
            assert_eq!(hear(&mut client, 10).await, Heard::Reset);
        });
    }

    /// Some of what was under way, all of it and nothing of it: each happens, and the reset takes its time.
    #[test]
    fn process_killed_every_length_of_prefix_happens() {
        let lengths = (0..200u64).map(|seed| {
            simulate(seed, move || async move {
                let network = Network::new(seed, EVEN);
                let (mut client, mut server) = connected(&network).await;
                server.write_all(b"reply").await.unwrap();
                let killed = network.now();
                network.kill(SERVER);
                let length = match hear(&mut client, 10).await {
                    Heard::Bytes(text) => {
                        assert!("reply".starts_with(&text), "{text}");
                        assert_eq!(hear(&mut client, 10).await, Heard::Reset);
                        text.len()
                    }
                    heard => {
                        assert_eq!(heard, Heard::Reset);
                        0
                    }
                };
                assert_eq!(network.now(), killed.after(1_000));
                length
            })
        });
        assert_eq!(std::collections::BTreeSet::from_iter(lengths), (0..=5).collect());
    }

    #[test]
    fn of_a_client_resets_the_server_and_what_it_had_received_still_counts() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let listener = network.listen(SERVER);
            let dialled = network.clone();
            let client = process(async move {
                let mut stream = dialled.connect(CLIENT, SERVER).await.unwrap();
                stream.write_all(b"request").await.unwrap();
                std::future::pending().await
            });
            let mut server = listener.accept().await;
            millis(3).await;
            kill(&network, CLIENT, &client);
            assert_eq!(hear(&mut server, 10).await, bytes("request"));
            assert_eq!(hear(&mut server, 10).await, Heard::Reset);
        });
    }

    #[test]
    fn leaves_the_host_to_the_next_process() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let first = process(echo(network.clone()));
            millis(1).await;
            kill(&network, SERVER, &first);
            let _second = process(echo(network.clone()));
            millis(1).await;
            let mut client = network.connect(CLIENT, SERVER).await.unwrap();
            client.write_all(b"request").await.unwrap();
            assert_eq!(hear(&mut client, 10).await, bytes("request"));
        });
    }
}

mod others {
    use super::*;

    #[test]
    fn paused_process_silence_then_everything_at_once() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let server = process(echo(network.clone()));
            millis(1).await;
            let mut client = network.connect(CLIENT, SERVER).await.unwrap();
            Handle::current().pause(server.id());
            for request in ["one ", "two ", "three"] {
                client.write_all(request.as_bytes()).await.unwrap();
                assert_eq!(hear(&mut client, 1_000).await, Heard::Nothing);
            }
            Handle::current().resume(server.id());
            assert_eq!(hear(&mut client, 10).await, bytes("one two three"));
        });
    }

    #[test]
    fn client_gave_up_and_reconnected_the_old_request_may_still_execute_later() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let listener = network.listen(SERVER);
            let mut client = network.connect(CLIENT, SERVER).await.unwrap();
            let mut old = listener.accept().await;
            client.delay_next_write(Delay::By(Duration::from_millis(500)));
            client.write_all(b"old").await.unwrap();
            drop(client);

            let mut client = network.connect(CLIENT, SERVER).await.unwrap();
            let mut new = listener.accept().await;
            client.write_all(b"new").await.unwrap();
            assert_eq!(hear(&mut new, 10).await, bytes("new"));
            assert_eq!(hear(&mut old, 1_000).await, bytes("old"));
            old.write_all(b"to nobody").await.unwrap();
            assert_eq!(hear(&mut old, 10).await, Heard::End);
        });
    }

    #[test]
    fn client_gave_up_across_a_partition_its_request_arrives_after_it_heals() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            network.partition(CLIENT, SERVER, Direction::Both);
            client.write_all(b"old").await.unwrap();
            drop(client);
            assert_eq!(hear(&mut server, 10_000).await, Heard::Nothing);
            network.heal(CLIENT, SERVER);
            assert_eq!(hear(&mut server, 10).await, bytes("old"));
            assert_eq!(hear(&mut server, 10).await, Heard::End);
        });
    }

    #[test]
    fn a_delayed_write_holds_up_all_behind_it_and_nothing_else() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            let until = network.now().after(7_000_000);
            client.delay_next_write(Delay::Until(until));
            client.write_all(b"first ").await.unwrap();
            client.write_all(b"second").await.unwrap();
            server.write_all(b"reply").await.unwrap();
            assert_eq!(hear(&mut client, 10).await, bytes("reply"));
            assert_eq!(hear(&mut server, 10_000).await, bytes("first second"));
            assert_eq!(network.now(), until);
        });
    }

    #[test]
    fn a_cut_resets_both_ends_at_once_and_loses_what_was_in_flight() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            client.write_all(b"landed").await.unwrap();
            millis(2).await;
            client.write_all(b"in flight").await.unwrap();
            network.partition(CLIENT, SERVER, Direction::Both);
            client.cut();
            assert_eq!(hear(&mut server, 1).await, bytes("landed"));
            assert_eq!(hear(&mut server, 1).await, Heard::Reset);
            assert_eq!(hear(&mut client, 1).await, Heard::Reset);
            assert!(client.write_all(b"?").await.is_err());
        });
    }

    #[test]
    fn a_cut_between_two_hosts_breaks_their_connections_and_no_others() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, _server) = connected(&network).await;
            let listener = network.listen(HostId(3));
            let mut other = network.connect(CLIENT, HostId(3)).await.unwrap();
            let mut third = listener.accept().await;
            network.cut(SERVER, CLIENT);
            assert_eq!(hear(&mut client, 1).await, Heard::Reset);
            third.write_all(b"still here").await.unwrap();
            assert_eq!(hear(&mut other, 10).await, bytes("still here"));
        });
    }

    #[test]
    fn a_half_closed_stream_still_hears_the_answer() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            client.write_all(b"request").await.unwrap();
            client.shutdown().await.unwrap();
            assert!(client.write_all(b"?").await.is_err());
            assert_eq!(hear(&mut server, 10).await, bytes("request"));
            assert_eq!(hear(&mut server, 10).await, Heard::End);
            server.write_all(b"reply").await.unwrap();
            assert_eq!(hear(&mut client, 10).await, bytes("reply"));
        });
    }

    #[test]
    fn a_writer_that_nobody_reads_waits_when_the_buffers_are_full() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            let much = vec![7; 3 << 20];
            assert_eq!(client.write(&much).await.unwrap(), 1 << 20, "what two kernels buffer");
            let writer = spawn_local(async move { client.write_all(&much).await });
            millis(1_000).await;
            assert!(!writer.is_finished());
            let mut read = Vec::new();
            server.read_to_end(&mut read).await.unwrap();
            assert_eq!(read.len(), 4 << 20);
            writer.await.unwrap().unwrap();
        });
    }

    #[test]
    fn a_loss_is_a_delay_of_the_segment_and_of_all_behind_it() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            network.set_latency(CLIENT, SERVER, Latency { loss_ppm: 1_000_000, retransmit_ms: 200, ..EVEN });
            let sent = network.now();
            client.write_all(b"lost ").await.unwrap();
            network.set_latency(CLIENT, SERVER, EVEN);
            client.write_all(b"behind").await.unwrap();
            assert_eq!(hear(&mut server, 1_000).await, bytes("lost behind"));
            assert_eq!(network.now(), sent.after(201_000));
        });
    }

    /// How long single requests take, one after the other.
    async fn latencies(network: &Network, from: HostId, to: HostId, count: usize) -> Vec<u64> {
        let listener = network.listen(to);
        let mut client = network.connect(from, to).await.unwrap();
        let mut server = listener.accept().await;
        let mut latencies = Vec::new();
        for _ in 0..count {
            let sent = network.now();
            client.write_all(b"?").await.unwrap();
            assert_eq!(hear(&mut server, 10_000).await, bytes("?"));
            latencies.push(network.now().0 - sent.0);
        }
        latencies
    }

    fn drawn(seed: u64, latency: Latency, from: HostId, to: HostId, count: usize) -> Vec<u64> {
        simulate(seed, move || async move { latencies(&Network::new(seed, latency), from, to, count).await })
    }

    #[test]
    fn jitter_is_added_evenly_up_to_its_bound() {
        let jittery = Latency { base_us: 300, jitter_us: 9, ..EVEN };
        let seen = std::collections::BTreeSet::from_iter(drawn(1, jittery, CLIENT, SERVER, 500));
        assert_eq!(seen, (300..=309).collect(), "each microsecond of it and no other");
    }

    #[test]
    fn so_many_in_a_million_are_lost_and_come_with_the_next_try() {
        let lossy = Latency { loss_ppm: 250_000, retransmit_ms: 40, ..EVEN };
        let latencies = drawn(1, lossy, CLIENT, SERVER, 2_000);
        let lost = latencies.iter().filter(|latency| **latency == 41_000).count();
        assert_eq!(latencies.iter().filter(|latency| **latency == 1_000).count(), 2_000 - lost);
        assert!((400..600).contains(&lost), "{lost} of 2000");
        assert_eq!(drawn(1, EVEN, CLIENT, SERVER, 200), [1_000; 200], "without loss nothing is lost");
    }

    #[test]
    fn the_next_try_after_a_partition_comes_at_any_time_up_to_the_retransmission_timeout() {
        let waits = (0..100u64).map(|seed| {
            simulate(seed, move || async move {
                let network = Network::new(seed, Latency { retransmit_ms: 100, ..EVEN });
                let (mut client, mut server) = connected(&network).await;
                network.partition(CLIENT, SERVER, Direction::Both);
                client.write_all(b"?").await.unwrap();
                network.heal(CLIENT, SERVER);
                let healed = network.now();
                assert_eq!(hear(&mut server, 1_000).await, bytes("?"));
                network.now().0 - healed.0 - 1_000
            })
        });
        let waits = Vec::from_iter(waits);
        let in_tenths = std::collections::BTreeSet::from_iter(waits.iter().map(|wait| wait / 10_001));
        assert_eq!(in_tenths, (0..10).collect(), "{waits:?}");
    }

    const JITTERY: Latency = Latency { base_us: 100, jitter_us: 1_000_000, loss_ppm: 0, retransmit_ms: 0 };

    #[test]
    fn the_draws_of_a_path_depend_on_the_seed_and_its_two_hosts_and_on_nothing_else() {
        let draws = |seed, from, to| drawn(seed, JITTERY, HostId(from), HostId(to), 8);
        assert_eq!(draws(1, 1, 2), draws(1, 1, 2));
        for other in [draws(2, 1, 2), draws(1, 2, 1), draws(1, 1, 3), draws(1, 3, 2)] {
            assert_ne!(draws(1, 1, 2), other);
        }
    }

    #[test]
    fn the_draws_of_a_path_do_not_move_with_the_traffic_on_another() {
        let alone = drawn(1, JITTERY, CLIENT, SERVER, 20);
        let beside = simulate(1, || async {
            let network = Network::new(1, JITTERY);
            let post = network.post();
            let mailbox = post.mailbox(HostId(3));
            // Paths that exist before, have been drawn from, and are drawn from all the while; one leads to the same
            // host, one comes from it, and the way back is used by the answers.
            latencies(&network, HostId(3), HostId(4), 5).await;
            for (from, to) in [(HostId(4), SERVER), (SERVER, HostId(5)), (CLIENT, HostId(6))] {
                let network = network.clone();
                spawn_local(async move { latencies_beside(&network, from, to).await });
            }
            post.send(CLIENT, HostId(3), (), Fate::Deliver);
            mailbox.receive().await;
            latencies(&network, CLIENT, SERVER, 20).await
        });
        assert_eq!(alone, beside);
    }

    /// Messages, which need nobody to listen.
    async fn latencies_beside(network: &Network, from: HostId, to: HostId) {
        let post = network.post();
        let mailbox = post.mailbox(to);
        for _ in 0..100 {
            post.send(from, to, (), Fate::Deliver);
            mailbox.receive().await;
        }
    }

    #[test]
    fn a_latency_that_is_set_counts_for_its_direction_from_then_on() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let (mut client, mut server) = connected(&network).await;
            network.set_latency(CLIENT, SERVER, Latency { base_us: 5_000, ..EVEN });
            let sent = network.now();
            client.write_all(b"request").await.unwrap();
            assert_eq!(hear(&mut server, 10).await, bytes("request"));
            assert_eq!(network.now(), sent.after(5_000));
            server.write_all(b"reply").await.unwrap();
            assert_eq!(hear(&mut client, 10).await, bytes("reply"));
            assert_eq!(network.now(), sent.after(6_000));
        });
    }

    #[test]
    fn latencies_below_a_millisecond_are_exact() {
        simulate(1, || async {
            let network = Network::new(1, Latency { base_us: 37, ..EVEN });
            let (mut client, mut server) = connected(&network).await;
            let sent = network.now();
            client.write_all(b"request").await.unwrap();
            assert_eq!(hear(&mut server, 10).await, bytes("request"));
            assert_eq!(network.now(), sent.after(37));
        });
    }
}

mod messages {
    use super::*;

    #[test]
    fn come_late_twice_or_never_as_their_fate_says() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let post = network.post();
            let mailbox = post.mailbox(SERVER);
            let began = network.now();
            let after_us = 4_000;
            post.send(CLIENT, SERVER, "late", Fate::Delay { by_us: 2_000 });
            post.send(CLIENT, SERVER, "never", Fate::Drop);
            post.send(CLIENT, SERVER, "twice", Fate::Duplicate { after_us });
            post.send(CLIENT, SERVER, "plain", Fate::Deliver);
            for expected in [("twice", 1_000), ("plain", 1_000), ("late", 3_000), ("twice", 5_000)] {
                let message = mailbox.receive().await;
                assert_eq!((message, network.now()), (expected.0, began.after(expected.1)));
            }
            assert!(timeout(Duration::from_secs(10), mailbox.receive()).await.is_err());
        });
    }

    #[test]
    fn are_lost_across_a_partition_and_nowhere_else() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let post = network.post();
            let mailbox = post.mailbox(SERVER);
            post.send(CLIENT, SERVER, "landed before", Fate::Deliver);
            millis(2).await;
            post.send(CLIENT, SERVER, "under way", Fate::Deliver);
            network.partition(CLIENT, SERVER, Direction::OneWay);
            post.send(CLIENT, SERVER, "sent during", Fate::Delay { by_us: 60_000_000 });
            post.send(HostId(3), SERVER, "elsewhere", Fate::Deliver);
            millis(10).await;
            network.heal(CLIENT, SERVER);
            post.send(CLIENT, SERVER, "after", Fate::Deliver);
            for expected in ["landed before", "elsewhere", "after"] {
                assert_eq!(mailbox.receive().await, expected);
            }
            assert!(timeout(Duration::from_secs(100), mailbox.receive()).await.is_err());
        });
    }

    #[test]
    fn that_were_under_way_when_a_partition_began_are_lost_even_if_it_heals_before_they_land() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let post = network.post();
            let mailbox = post.mailbox(SERVER);
            post.send(CLIENT, SERVER, "lost", Fate::Delay { by_us: 20_000 });
            millis(2).await;
            network.partition(CLIENT, SERVER, Direction::OneWay);
            network.heal(CLIENT, SERVER);
            post.send(CLIENT, SERVER, "after", Fate::Deliver);
            post.send(CLIENT, SERVER, "one of two", Fate::Duplicate { after_us: 50_000 });
            millis(10).await;
            network.partition(SERVER, CLIENT, Direction::OneWay);
            network.partition(CLIENT, SERVER, Direction::OneWay);
            for expected in ["after", "one of two"] {
                assert_eq!(mailbox.receive().await, expected);
            }
            assert!(timeout(Duration::from_secs(100), mailbox.receive()).await.is_err());
        });
    }

    #[test]
    fn one_way_pass_in_the_direction_that_is_open() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let post = network.post();
            let [client, server] = [CLIENT, SERVER].map(|host| post.mailbox(host));
            network.partition(CLIENT, SERVER, Direction::OneWay);
            post.send(CLIENT, SERVER, "lost", Fate::Deliver);
            post.send(SERVER, CLIENT, "heard", Fate::Deliver);
            assert_eq!(client.receive().await, "heard");
            assert!(timeout(Duration::from_secs(100), server.receive()).await.is_err());
        });
    }

    #[test]
    fn to_a_process_that_is_down_are_lost_and_those_under_way_reach_the_next_one() {
        simulate(1, || async {
            let network = Network::new(1, EVEN);
            let post = network.post();
            let mailbox = post.mailbox(SERVER);
            post.send(CLIENT, SERVER, "landed", Fate::Delay { by_us: 5_000 });
            post.send(CLIENT, SERVER, "under way", Fate::Delay { by_us: 50_000 });
            drop(mailbox);
            post.send(CLIENT, SERVER, "while down", Fate::Delay { by_us: 50_000 });
            millis(10).await;
            let mailbox = post.mailbox(SERVER);
            assert_eq!(mailbox.receive().await, "under way");
            assert!(timeout(Duration::from_secs(1), mailbox.receive()).await.is_err());
        });
    }
}

/// What happened in a rough world, line by line.
fn transcript(seed: u64) -> Vec<String> {
    simulate(seed, move || async move {
        let network = Network::new(seed, ROUGH);
        let server = process(echo(network.clone()));
        let lines = Rc::new(RefCell::new(Vec::new()));
        millis(1).await;
        for client in 10..14 {
            let (network, lines) = (network.clone(), lines.clone());
            spawn_local(async move {
                let mut stream = network.connect(HostId(client), SERVER).await.unwrap();
                for request in 0.. {
                    let text = format!("{client}:{request}");
                    let sent = stream.write_all(text.as_bytes()).await.map_err(|error| error.kind());
                    let heard = hear(&mut stream, 100).await;
                    lines.borrow_mut().push(format!("{:>9} {text} {sent:?} {heard:?}", network.now().0));
                    if sent.is_err() {
                        return;
                    }
                }
            });
        }
        millis(500).await;
        network.partition(HostId(10), SERVER, Direction::Both);
        network.partition(SERVER, HostId(11), Direction::OneWay);
        millis(500).await;
        network.heal(HostId(10), SERVER);
        network.heal(HostId(11), SERVER);
        millis(500).await;
        kill(&network, SERVER, &server);
        millis(500).await;
        lines.take()
    })
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (one, other) = (transcript(7), transcript(7));
    assert!(one.len() > 300, "{} lines", one.len());
    assert_eq!(one, other);
    assert_ne!(one, transcript(8));
}

/// What can be done to connections that must not hurt their bytes.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Write { by: usize, len: usize },
    Delay { by: usize, ms: u64 },
    Partition { by: usize, direction: Direction },
    Heal,
    Wait { us: u64 },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let direction = prop_oneof![Just(Direction::Both), Just(Direction::OneWay)];
    let deed = prop_oneof![
        6 => (0..2usize, 0..2_000usize).prop_map(|(by, len)| Deed::Write { by, len }),
        1 => (0..2usize, 0..50u64).prop_map(|(by, ms)| Deed::Delay { by, ms }),
        1 => (0..2usize, direction).prop_map(|(by, direction)| Deed::Partition { by, direction }),
        1 => Just(Deed::Heal),
        4 => (0..20_000u64).prop_map(|us| Deed::Wait { us }),
    ];
    prop::collection::vec(deed, 0..60)
}

/// Reads to the end in small pieces, with pauses.
async fn read_slowly(mut stream: Stream, mut random: Random) -> Vec<u8> {
    let mut read = Vec::new();
    loop {
        let mut buf = vec![0; 1 + random.below(700) as usize];
        let count = stream.read(&mut buf).await.unwrap();
        if count == 0 {
            return read;
        }
        read.extend(&buf[..count]);
        if random.below(4) == 0 {
            millis(random.below(10)).await;
        }
    }
}

/// Two hosts write to each other, each on a connection of its own. Returns for both what was written and read.
async fn converse(deeds: Vec<Deed>, seed: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let network = Network::new(seed, ROUGH);
    let mut random = Random::new(seed);
    let hosts = [CLIENT, SERVER];
    let (mut streams, mut readers, mut written) = (Vec::new(), Vec::new(), vec![Vec::new(), Vec::new()]);
    for by in 0..2 {
        let listener = network.listen(hosts[1 - by]);
        streams.push(network.connect(hosts[by], hosts[1 - by]).await.unwrap());
        readers.push(spawn_local(read_slowly(listener.accept().await, random.clone())));
    }
    for deed in deeds {
        match deed {
            Deed::Write { by, len } => {
                let bytes = Vec::from_iter((0..len).map(|_| random.next_u64() as u8));
                streams[by].write_all(&bytes).await.unwrap();
                written[by].extend(bytes);
            }
            Deed::Delay { by, ms } => streams[by].delay_next_write(Delay::By(Duration::from_millis(ms))),
            Deed::Partition { by, direction } => network.partition(hosts[by], hosts[1 - by], direction),
            Deed::Heal => network.heal(CLIENT, SERVER),
            Deed::Wait { us } => network.clock().sleep_until(network.now().after(us)).await,
        }
    }
    drop(streams);
    network.heal(CLIENT, SERVER);
    let mut outcome = Vec::new();
    for (reader, written) in readers.into_iter().zip(written) {
        outcome.push((written, reader.await.unwrap()));
    }
    outcome
}

proptest! {
    #[test]
    fn no_byte_is_lost_doubled_or_out_of_order_whatever_the_network_does(deeds in deeds(), seed in any::<u64>()) {
        for (written, read) in simulate(seed, move || converse(deeds, seed)) {
            prop_assert_eq!(written, read);
        }
    }
}
