//! The simulated network: connections as ordered byte streams, and messages, between hosts.
//!
//! madsim's own TCP refuses across a partition and lets a killed peer's FIN through it, which is not what breaks
//! lease protocols. Here, on madsim's timers alone:
//!
//! - a connection is refused, or established, after a round trip; across a partition neither happens;
//! - an open connection loses and reorders nothing: a loss or a partition is a delay of all that follows;
//! - a killed process has sent some prefix of what was in flight, and then a reset;
//! - behind a partition a killed process looks exactly like a silent one, until it heals;
//! - a stream that is dropped was closed: what it had sent still arrives, and still has its effect.
//!
//! One run is one thread: handles are `Rc`s, and nothing here is `Send`. What becomes of a process (pausing it,
//! killing it, starting it again) is madsim's business and the harness's; the network is only told.
//!
//! ```
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use valkey_sim::link::{HostId, Latency, Network};
//!
//! let runtime = madsim::runtime::Runtime::with_seed_and_config(1, madsim::Config::default());
//! runtime.block_on(async {
//!     let network = Network::new(1, Latency { base_us: 500, ..Latency::default() });
//!     let (client, server) = (HostId(1), HostId(2));
//!     let listener = network.listen(server);
//!     madsim::task::spawn_local(async move {
//!         let mut stream = listener.accept().await;
//!         stream.write_all(b"hello").await.unwrap();
//!     });
//!     let mut stream = network.connect(client, server).await.unwrap();
//!     let mut greeting = String::new();
//!     stream.read_to_string(&mut greeting).await.unwrap();
//!     assert_eq!(greeting, "hello");
//! });
//! ```

mod network;
mod node_time;
mod path;
mod pipe;
mod post;
mod sim_clock;
mod sleeper;
mod stream;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use network::{Direction, Listener, Network};
pub use node_time::NodeTime;
pub use path::Latency;
pub use pipe::Delay;
pub use post::{Fate, Mailbox, Post};
pub use sim_clock::SimClock;
pub use stream::Stream;

/// A host: what has an address, and outlives the processes that run on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(pub u16);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host-{}", self.0)
    }
}
