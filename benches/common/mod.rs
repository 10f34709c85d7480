//! What the benches share: the grant cycle as requests, and a real server to compare with where there is one.

#![allow(dead_code, reason = "each bench uses its own part")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command as Process, Stdio},
    time::{Duration, Instant},
};

use ff_core::types::*;
use grantsim::{
    grant::{AttemptKind, Lease, Millis},
    library::ClaimFunction,
    protocol::*,
};
use uuid::Uuid;

const TTL: Millis = Millis(600_000);

/// The life of the `n`th execution: create, grant, claim, renew, complete. What the server would tell is known before:
/// a first lease has epoch 1 and works on attempt 0.
pub fn cycle(n: u128) -> [Request; 5] {
    let uuid = Uuid::from_u128(n);
    let execution_id = ExecutionId::parse(&format!("{{fp:7}}:{uuid}")).expect("an id of this form");
    let (lane_id, worker_id) = (LaneId::new("gold"), WorkerId::new("w"));
    let worker_instance_id = WorkerInstanceId::new("w-1");
    let lease = Lease {
        execution_id: execution_id.clone(),
        lease_id: LeaseId::from_uuid(uuid),
        epoch: LeaseEpoch(1),
        attempt_id: AttemptId::from_uuid(uuid),
        attempt_index: AttemptIndex(0),
        attempt_kind: AttemptKind::Initial,
        expires_at_ms: TimestampMs(0),
    };
    let create = CreateExecution {
        execution_id: execution_id.clone(),
        namespace: Namespace::new("ns"),
        lane_id: lane_id.clone(),
        execution_kind: "kind".into(),
        priority: 5,
        creator_identity: "me".into(),
        policy_json: String::new(),
        payload: b"input".to_vec(),
        delay_until: None,
        idempotency_key: None,
        dedup_ttl: Millis(0),
        tags: Default::default(),
        execution_deadline_at: None,
    };
    let grant = IssueClaimGrant(GrantRequest {
        execution_id: execution_id.clone(),
        lane_id: lane_id.clone(),
        worker_id: worker_id.clone(),
        worker_instance_id: worker_instance_id.clone(),
        grant_ttl: TTL,
        capabilities: Default::default(),
        notes: GrantNotes::default(),
    });
    let claim = Claim {
        execution_id,
        lane_id: lane_id.clone(),
        worker_id,
        worker_instance_id: worker_instance_id.clone(),
        lease_id: lease.lease_id.clone(),
        attempt_id: lease.attempt_id.clone(),
        lease_ttl: TTL,
        attempt_policy_json: String::new(),
        attempt_timeout: None,
        execution_deadline_at: None,
    };
    let claim = ClaimExecution {
        function: ClaimFunction::ClaimExecution,
        claim,
        expected_attempt_index: lease.attempt_index,
    };
    let owned = Owned::by(&lease, lane_id, worker_instance_id);
    [
        create.request(),
        grant.request(),
        claim.request(),
        RenewLease::of(&lease, TTL).request(),
        CompleteExecution { owned, result: b"output".to_vec() }.request(),
    ]
}

/// Whether this is a measurement, and not `cargo test --all-targets` looking whether a bench runs at all.
pub fn is_measurement() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// A `redis-server` on a socket of its own, stopped when it is dropped.
pub struct RealServer {
    process: Child,
    dir: PathBuf,
    stream: BufReader<UnixStream>,
}

impl RealServer {
    /// `None` where there is no server to start.
    pub fn start() -> Option<Self> {
        let dir = std::env::temp_dir().join(format!("grantsim-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the socket");
        let spawned = Process::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "s"])
            .current_dir(&dir)
            .stdout(Stdio::null())
            .spawn();
        let Ok(process) = spawned else {
            println!("no redis-server here: nothing to compare with");
            return None;
        };
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(dir.join("s")) {
                Ok(stream) => break BufReader::new(stream),
                Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "no server: {error}"),
            }
        };
        Some(Self { process, dir, stream })
    }

    /// Sends a command and returns its reply as it came: a line, and for a bulk string what follows it.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> String {
        let mut bytes = Vec::new();
        valkey_sim::resp::encode_request(args.iter().map(A::as_ref), &mut bytes);
        self.stream.get_mut().write_all(&bytes).expect("the server reads");
        let reply = self.reply();
        assert!(!reply.starts_with('-'), "the server refuses: {reply}");
        reply
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        let count = line[1..].trim_end().parse::<usize>();
        match (line.as_bytes()[0], count) {
            (b'*', Ok(count)) => (0..count).for_each(|_| line.push_str(&self.reply())),
            (b'$', Ok(length)) => {
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes).expect("the server answers");
                line.push_str(&String::from_utf8_lossy(&bytes));
            }
            _ => {}
        }
        line
    }

    /// Starts `INFO commandstats` afresh.
    pub fn reset_stats(&mut self) {
        self.send(&["CONFIG", "RESETSTAT"]);
    }

    /// What the server itself has spent on a command since then, by its own count.
    pub fn spent_on(&mut self, command: &str) -> Duration {
        let stats = self.send(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
        let usec = line.and_then(|line| line.split(',').find_map(|part| part.strip_prefix("usec=")));
        Duration::from_micros(usec.and_then(|usec| usec.parse().ok()).unwrap_or_default())
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // Best effort: the bench is over.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
