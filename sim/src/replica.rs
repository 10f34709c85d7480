//! An asynchronous replica: the link over which its primary's units come, and the engine that executes them.
//!
//! Three offsets are kept apart. *Sent* is what the primary wrote to the link, *received* what arrived, *applied* what was
//! executed. A link that breaks loses what was sent and not received; a promotion loses what was received and not applied.
//! A unit that arrived in part is never executed in part. There is no clock and no socket here: the host says when what was
//! sent arrives, and when the replica finds the time to execute it. Not here: partial resynchronisation (every new link
//! begins with a full one, which arrives at once), and how clients find the new primary.
//!
//! ```
//! use valkey_sim::{
//!     engine::{Dialect, Effects, Engine, UnixMicros, replication::{Address, ReplicaId}},
//!     lua::Interpreter,
//!     replica::Replica,
//! };
//!
//! let address = |port| Address { host: "10.0.0.1".to_owned(), port };
//! let now = UnixMicros::from_millis(1_700_000_000_000);
//! let mut primary = Engine::new(Dialect::Valkey8, Interpreter::default());
//! let empty = Engine::new(Dialect::Valkey8, Interpreter::default());
//! let mut replica = Replica::new(ReplicaId(1), address(6380), empty);
//! replica.synchronise(&mut primary, address(6379), now)?;
//!
//! let mut client = primary.connect();
//! for key in [b"a", b"b"] {
//!     primary.execute(&mut client, &[b"SET", key, b"1"], now, &mut Effects::default());
//!     replica.send(&primary)?;
//! }
//! // All but the last byte arrives, and then the primary is gone.
//! replica.receive(replica.sent().0 - 1);
//! replica.apply_all(&mut Effects::default())?;
//! let promoted = replica.promote();
//! assert_eq!(promoted.keyspace().len(), 1);
//! # Ok::<(), valkey_sim::replica::ReplicaError>(())
//! ```

use std::{collections::VecDeque, sync::Arc};

use crate::engine::{
    Effects, Engine, ErrorReply, Session, UnixMicros,
    replication::{Address, LinkState, ReplicaId},
    unit::{Offset, Unit},
};

/// What a replica cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// The primary has no such replica, or no longer: the link broke, it dropped the replica, or it was restarted.
    #[error("replica {0} is not attached to this primary: synchronise it first")]
    NotAttached(u64),
    /// The primary does not keep its stream from where the link is.
    #[error(
        "the primary's stream is not kept from {from} on, where the link of the replica is: send earlier, raise \
         repl-backlog-size, or synchronise again"
    )]
    Behind {
        /// Where the link is, bytes of the stream.
        from: u64,
    },
    /// The replica's engine refuses what the primary did.
    #[error("the replica cannot do what its primary did: {0}; are both servers configured alike?")]
    Refused(String),
}

impl ReplicaError {
    fn refused(error: ErrorReply) -> Self {
        Self::Refused(error.0.into_owned())
    }
}

/// The link of a replica to its primary, for a host whose engine belongs to a server of connections. [`Replica`] has the
/// engine as well.
#[derive(Clone, Debug)]
pub struct Link {
    id: ReplicaId,
    /// The connection of the replica's engine over which units are executed.
    stream: Session,
    /// What was sent and not executed yet, oldest first.
    units: VecDeque<Arc<Unit>>,
    sent: Offset,
    received: Offset,
    applied: Offset,
}

impl Link {
    /// Synchronises an engine with a primary, wholly, and opens a link between the two. `id` is what the primary knows the
    /// replica by, `own` and `primary_address` are where the two listen, and `now` is the primary's clock.
    ///
    /// # Errors
    /// [`ReplicaError::Refused`]: a library does not load.
    pub fn open(
        id: ReplicaId,
        own: Address,
        engine: &mut Engine,
        primary: &mut Engine,
        primary_address: Address,
        now: UnixMicros,
    ) -> Result<Self, ReplicaError> {
        let mut stream = engine.connect();
        engine.follow(primary_address);
        engine.synchronise(&mut stream, primary).map_err(ReplicaError::refused)?;
        engine.set_link(LinkState::Up);
        let at = primary.attach_replica(id, own, now);
        Ok(Self { id, stream, units: VecDeque::new(), sent: at, received: at, applied: at })
    }

    /// The primary writes to the link what it has not written yet. Answers the offset to which it has now.
    ///
    /// # Errors
    /// [`ReplicaError::NotAttached`] and [`ReplicaError::Behind`]; nothing was sent.
    pub fn send(&mut self, primary: &Engine) -> Result<Offset, ReplicaError> {
        let replication = primary.replication();
        if !replication.replicas().any(|(id, _)| id == self.id) {
            return Err(ReplicaError::NotAttached(self.id.0));
        }
        let units = replication.units_after(self.sent).ok_or(ReplicaError::Behind { from: self.sent.0 })?;
        self.units.extend(units.cloned());
        self.sent = replication.offset();
        Ok(self.sent)
    }

    /// What was sent arrives, to the byte `up_to` of the stream, or as far as it was sent.
    pub fn receive(&mut self, up_to: u64) {
        self.received = self.received.max(Offset(up_to).min(self.sent));
    }

    /// The link breaks: what did not arrive, or only in part, is lost. Answers how many units. What did arrive can still be
    /// executed. `now` is the replica's clock.
    pub fn break_off(&mut self, engine: &mut Engine, now: UnixMicros) -> usize {
        let on_the_way = self.units.len();
        self.units.retain(|unit| unit.end <= self.received);
        let whole = self.units.back().map_or(self.applied, |unit| unit.end);
        (self.sent, self.received) = (whole, whole);
        engine.set_link(LinkState::Down(Some(now)));
        on_the_way - self.units.len()
    }

    /// Executes the next unit that has arrived whole; answers it, or `None` when there is none. What the replica's own file
    /// would get is added to `own`.
    ///
    /// # Errors
    /// [`ReplicaError::Refused`]; the unit is done as far as the effect that was refused.
    pub fn apply_next(
        &mut self,
        engine: &mut Engine,
        own: &mut Effects,
    ) -> Result<Option<Arc<Unit>>, ReplicaError> {
        let has_arrived = |unit: &mut Arc<Unit>| unit.end <= self.received;
        let Some(unit) = self.units.pop_front_if(has_arrived) else { return Ok(None) };
        engine.apply_unit(&mut self.stream, &unit, own).map_err(ReplicaError::refused)?;
        self.applied = unit.end;
        Ok(Some(unit))
    }

    /// Closes the link, and has the engine take writes: what was executed is the truth from now on.
    pub fn promote(self, engine: &mut Engine) {
        engine.disconnect(&self.stream);
        engine.lead();
    }

    /// What the primary knows the replica by.
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// How far the primary has written to the link.
    pub fn sent(&self) -> Offset {
        self.sent
    }

    /// How far it has arrived.
    pub fn received(&self) -> Offset {
        self.received
    }

    /// How far it was executed: what the replica acknowledges.
    pub fn applied(&self) -> Offset {
        self.applied
    }
}

/// A replica: an engine, and its link to a primary while it has one.
#[derive(Clone, Debug)]
pub struct Replica {
    id: ReplicaId,
    address: Address,
    engine: Engine,
    link: Option<Link>,
}

impl Replica {
    /// A replica that listens at `address` and has no primary yet. The engine may be empty, or a former primary's: what it
    /// holds is lost when it is synchronised.
    pub fn new(id: ReplicaId, address: Address, engine: Engine) -> Self {
        Self { id, address, engine, link: None }
    }

    /// Takes over all that a primary holds, functions included, and follows it from there: a full synchronisation. What the
    /// replica had is gone, also where the primary is empty. `now` is the primary's clock.
    ///
    /// # Errors
    /// [`ReplicaError::Refused`]: a library does not load.
    pub fn synchronise(
        &mut self,
        primary: &mut Engine,
        primary_address: Address,
        now: UnixMicros,
    ) -> Result<(), ReplicaError> {
        if let Some(link) = self.link.take() {
            self.engine.disconnect(&link.stream);
        }
        let own = self.address.clone();
        self.link = Some(Link::open(self.id, own, &mut self.engine, primary, primary_address, now)?);
        Ok(())
    }

    /// The primary writes what it has not written yet: [`Link::send`].
    ///
    /// # Errors
    /// Those of [`Link::send`]; [`ReplicaError::NotAttached`] before the first synchronisation.
    pub fn send(&mut self, primary: &Engine) -> Result<Offset, ReplicaError> {
        self.link.as_mut().ok_or(ReplicaError::NotAttached(self.id.0))?.send(primary)
    }

    /// What was sent arrives, to the byte `up_to` of the stream, or as far as it was sent.
    pub fn receive(&mut self, up_to: u64) {
        if let Some(link) = &mut self.link {
            link.receive(up_to);
        }
    }

    /// The link breaks: what did not arrive whole is lost. Answers how many units. `now` is the replica's clock.
    pub fn break_off(&mut self, now: UnixMicros) -> usize {
        self.link.as_mut().map_or(0, |link| link.break_off(&mut self.engine, now))
    }

    /// Executes the next unit that has arrived whole; answers it, or `None` when there is none.
    ///
    /// # Errors
    /// Those of [`Link::apply_next`].
    pub fn apply_next(&mut self, own: &mut Effects) -> Result<Option<Arc<Unit>>, ReplicaError> {
        self.link.as_mut().map_or(Ok(None), |link| link.apply_next(&mut self.engine, own))
    }

    /// Executes all that has arrived whole; answers how many units.
    ///
    /// # Errors
    /// Those of [`Link::apply_next`]; the units before are done.
    pub fn apply_all(&mut self, own: &mut Effects) -> Result<usize, ReplicaError> {
        let mut count = 0;
        while self.apply_next(own)?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Makes what was applied the truth: the engine takes writes from now on, at whatever time its host hands it.
    pub fn promote(self) -> Engine {
        let mut engine = self.engine;
        match self.link {
            Some(link) => link.promote(&mut engine),
            None => engine.lead(),
        }
        engine
    }

    /// Its engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Its engine, for clients that read from a replica.
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// How far the primary has written to the link; like the others 0 before the first synchronisation.
    pub fn sent(&self) -> Offset {
        self.link.as_ref().map(Link::sent).unwrap_or_default()
    }

    /// How far it has arrived.
    pub fn received(&self) -> Offset {
        self.link.as_ref().map(Link::received).unwrap_or_default()
    }

    /// How far it was executed.
    pub fn applied(&self) -> Offset {
        self.link.as_ref().map(Link::applied).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Dialect, Reply},
        lua::Interpreter,
    };

    const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);
    const LIBRARY: &str = "#!lua name=l\n\
        redis.register_function('many', function(keys, args) \
          for n = 1, args[1] do redis.call('SET', 'many:' .. n, args[2]) end end)";

    fn address(port: u16) -> Address {
        Address { host: "10.0.0.1".to_owned(), port }
    }

    fn run(engine: &mut Engine, line: &str) -> Reply {
        run_at(engine, line, NOW)
    }

    fn run_at(engine: &mut Engine, line: &str, now: UnixMicros) -> Reply {
        let mut session = engine.connect();
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        engine.execute(&mut session, &args, now, &mut Effects::default())
    }

    fn load(engine: &mut Engine) {
        let mut session = engine.connect();
        let args: [&[u8]; 3] = [b"FUNCTION", b"LOAD", LIBRARY.as_bytes()];
        assert_eq!(engine.execute(&mut session, &args, NOW, &mut Effects::default()), Reply::bulk("l"));
    }

    fn digest(engine: &Engine) -> Reply {
        run(&mut engine.clone(), "SIM DIGEST")
    }

    fn empty() -> Engine {
        Engine::new(Dialect::Valkey8, Interpreter::default())
    }

    fn pair() -> (Engine, Replica) {
        let mut primary = empty();
        let mut replica = Replica::new(ReplicaId(1), address(2), empty());
        replica.synchronise(&mut primary, address(1), NOW).unwrap();
        (primary, replica)
    }

    fn deliver(replica: &mut Replica, primary: &Engine) {
        let sent = replica.send(primary).unwrap();
        replica.receive(sent.0);
        replica.apply_all(&mut Effects::default()).unwrap();
    }

    #[test]
    fn sent_received_and_applied_are_three_things() {
        let (mut primary, mut replica) = pair();
        run(&mut primary, "SET a 1");
        assert_eq!((replica.sent(), replica.engine().keyspace().len()), (Offset(0), 0));
        let sent = replica.send(&primary).unwrap();
        assert_eq!((replica.sent(), replica.received(), replica.applied()), (sent, Offset(0), Offset(0)));
        assert_eq!(replica.apply_all(&mut Effects::default()), Ok(0), "it has not arrived");
        replica.receive(u64::MAX);
        assert_eq!(
            (replica.received(), replica.applied()),
            (sent, Offset(0)),
            "what was not sent cannot arrive"
        );
        assert_eq!(replica.apply_all(&mut Effects::default()), Ok(1));
        assert_eq!((replica.applied(), replica.engine().replication().offset()), (sent, sent));
        assert_eq!(primary.replication().offset(), sent);
        assert_eq!(digest(replica.engine()), digest(&primary));
    }

    #[test]
    fn a_function_call_arrives_whole_or_not_at_all_wherever_it_is_cut() {
        let (mut primary, mut replica) = pair();
        load(&mut primary);
        deliver(&mut replica, &primary);
        let before = replica.applied().0;
        run(&mut primary, "FCALL many 0 20 x");
        let sent = replica.send(&primary).unwrap().0;
        for cut in before..=sent {
            let keys = if cut == sent { 20 } else { 0 };
            for breaks in [false, true] {
                let mut replica = replica.clone();
                replica.receive(cut);
                if breaks {
                    assert_eq!(replica.break_off(NOW), usize::from(cut < sent), "cut at {cut}");
                }
                replica.apply_all(&mut Effects::default()).unwrap();
                let found = replica.promote().keyspace().len();
                assert_eq!(found, keys, "cut at {cut} of {before}..{sent}, breaks: {breaks}");
            }
        }
    }

    #[test]
    fn a_promoted_replica_has_what_was_applied_and_the_functions_too() {
        let (mut primary, mut replica) = pair();
        load(&mut primary);
        run(&mut primary, "SET kept 1");
        deliver(&mut replica, &primary);
        run(&mut primary, "SET received 1");
        replica.send(&primary).unwrap();
        replica.receive(u64::MAX);
        run(&mut primary, "SET unsent 1");
        let mut promoted = replica.promote();
        assert_eq!(run(&mut promoted, "KEYS *"), Reply::bulks(&["kept".into()]));
        assert_eq!(run(&mut promoted, "FCALL many 0 2 y"), Reply::Null);
        assert_eq!(run(&mut promoted, "DBSIZE"), Reply::Int(3));
    }

    #[test]
    fn a_clock_that_is_ahead_has_lost_the_key_and_one_that_is_behind_revives_it() {
        let (mut primary, mut replica) = pair();
        run(&mut primary, "SET lease w PX 8000");
        deliver(&mut replica, &primary);
        let at = |seconds: i64| UnixMicros(NOW.0.saturating_add_signed(seconds * 1_000_000));
        assert_eq!(run_at(&mut replica.clone().promote(), "GET lease", at(20)), Reply::Null);
        assert_eq!(run_at(&mut replica.promote(), "PTTL lease", at(-20)), Reply::Int(28_000));
    }

    #[test]
    fn a_primary_that_restarts_empty_wipes_its_replica() {
        let (mut primary, mut replica) = pair();
        load(&mut primary);
        run(&mut primary, "SET k v");
        deliver(&mut replica, &primary);
        let mut restarted = empty();
        assert_eq!(replica.send(&restarted), Err(ReplicaError::NotAttached(1)), "it knows no replica");
        replica.synchronise(&mut restarted, address(1), NOW).unwrap();
        assert!(replica.engine().keyspace().is_empty());
        assert_eq!(replica.engine().functions().function_count(), 0);
        run(&mut restarted, "SET new 1");
        deliver(&mut replica, &restarted);
        assert_eq!(digest(replica.engine()), digest(&restarted));
    }

    #[test]
    fn a_former_primary_loses_its_own_writes_and_has_the_new_ones() {
        let (mut former, mut replica) = pair();
        run(&mut former, "SET shared 1");
        deliver(&mut replica, &former);
        run(&mut former, "SET own 1");
        let mut leader = replica.promote();
        run(&mut leader, "SELECT 3");
        run(&mut leader, "SET new 1");
        let mut demoted = Replica::new(ReplicaId(2), address(1), former);
        demoted.synchronise(&mut leader, address(2), NOW).unwrap();
        assert_eq!(run(demoted.engine_mut(), "EXISTS own"), Reply::Int(0));
        assert_eq!(run(demoted.engine_mut(), "EXISTS shared new"), Reply::Int(2));
        run(&mut leader, "SET newer 1");
        deliver(&mut demoted, &leader);
        assert_eq!(digest(demoted.engine()), digest(&leader));
    }

    #[test]
    fn a_replica_that_joins_late_writes_into_the_database_that_its_primary_does() {
        let (mut primary, mut first) = pair();
        let mut client = primary.connect();
        let mut own = |primary: &mut Engine, args: &[&[u8]]| {
            primary.execute(&mut client, args, NOW, &mut Effects::default())
        };
        own(&mut primary, &[b"SELECT", b"3"]);
        own(&mut primary, &[b"SET", b"a", b"1"]);
        let mut late = Replica::new(ReplicaId(2), address(3), empty());
        late.synchronise(&mut primary, address(1), NOW).unwrap();
        own(&mut primary, &[b"SET", b"b", b"1"]);
        for replica in [&mut first, &mut late] {
            deliver(replica, &primary);
            assert_eq!(digest(replica.engine()), digest(&primary));
            assert_eq!(replica.engine().database(3).map(|db| db.len()), Some(2));
        }
    }

    #[test]
    fn the_stream_is_kept_as_far_back_as_it_may_be() {
        let (mut primary, mut replica) = pair();
        primary.configure("repl-backlog-size", "16384").unwrap();
        for n in 0..1_000 {
            run(&mut primary, &format!("SET key:{n} value"));
        }
        assert_eq!(replica.send(&primary), Err(ReplicaError::Behind { from: 0 }));
        let kept = primary.replication().offset().0 - primary.replication().kept_from().unwrap().0;
        assert!((16_000..=16_384).contains(&kept), "{kept} bytes are kept");
        primary.detach_replica(ReplicaId(1));
        assert_eq!(replica.send(&primary), Err(ReplicaError::NotAttached(1)));
    }
}
