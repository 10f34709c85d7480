//! Messages between hosts, as datagrams are: each on its own, perhaps late, twice or never.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use serde::{Deserialize, Serialize};

use super::path::Path;
use super::sleeper::Sleeper;
use super::{HostId, Network};
use crate::clock::SimTime;

/// What becomes of a message, apart from latency and partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fate {
    /// It arrives.
    #[default]
    Deliver,
    /// It is lost.
    Drop,
    /// It arrives, and again so much later.
    Duplicate {
        /// Between the two.
        after_us: u64,
    },
    /// It arrives so much later.
    Delay {
        /// On top of the latency.
        by_us: u64,
    },
}

/// Carries messages of one type. Clones are handles to the same service.
///
/// A message across a partition is lost, also if the partition began while it was under way. So is one to a host
/// where nobody has a mailbox open when it is sent, or when it lands.
pub struct Post<M> {
    network: Network,
    inboxes: Rc<RefCell<BTreeMap<HostId, SharedInbox<M>>>>,
}

impl<M> fmt::Debug for Post<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("mailboxes", &self.inboxes.borrow().len()).finish_non_exhaustive()
    }
}

impl<M> Clone for Post<M> {
    fn clone(&self) -> Self {
        Self { network: self.network.clone(), inboxes: self.inboxes.clone() }
    }
}

impl<M> Post<M> {
    pub(super) fn new(network: Network) -> Self {
        Self { network, inboxes: Rc::default() }
    }

    /// Receives for a host, in place of whoever did before. What is still under way will land here.
    pub fn mailbox(&self, host: HostId) -> Mailbox<M> {
        let inbox = SharedInbox::default();
        let previous = self.inboxes.borrow_mut().insert(host, inbox.clone());
        if let Some(previous) = previous {
            inbox.borrow_mut().inherit(&mut previous.borrow_mut(), self.network.now());
        }
        Mailbox { network: self.network.clone(), inbox }
    }
}

impl<M: Clone> Post<M> {
    /// Sends a message.
    pub fn send(&self, from: HostId, to: HostId, message: M, fate: Fate) {
        let path = self.network.path(from, to);
        let landing = path.landing(self.network.now());
        tracing::trace!(sim_us = self.network.now().0, %from, %to, ?fate, due = landing.0, "message");
        match fate {
            Fate::Deliver => self.deliver(&path, landing, message),
            Fate::Drop => {}
            Fate::Delay { by_us } => self.deliver(&path, landing.after(by_us), message),
            Fate::Duplicate { after_us } => {
                self.deliver(&path, landing, message.clone());
                self.deliver(&path, landing.after(after_us), message);
            }
        }
    }
}

impl<M> Post<M> {
    fn deliver(&self, path: &Rc<Path>, due: SimTime, message: M) {
        let inboxes = self.inboxes.borrow();
        let open = inboxes.get(&path.to).map(|inbox| inbox.borrow_mut()).filter(|inbox| !inbox.closed);
        if let Some(mut inbox) = open
            && !path.is_held()
        {
            inbox.put(due, Letter { message, path: path.clone(), partitions: path.partitions() });
            inbox.alert(&self.network);
        }
    }
}

/// A message under way.
struct Letter<M> {
    message: M,
    path: Rc<Path>,
    /// How many partitions the path had seen when it was sent.
    partitions: usize,
}

impl<M> Letter<M> {
    /// Whether a partition came between.
    fn is_lost(&self, due: SimTime) -> bool {
        self.path.parted_before(self.partitions, due)
    }
}

type SharedInbox<M> = Rc<RefCell<Inbox<M>>>;

/// By when they land, then by when they were sent.
type Letters<M> = BTreeMap<(SimTime, u64), Letter<M>>;

/// What is under way to a host, and what has landed there.
struct Inbox<M> {
    letters: Letters<M>,
    sent: u64,
    reader: Sleeper,
    /// The mailbox is gone.
    closed: bool,
}

impl<M> Default for Inbox<M> {
    fn default() -> Self {
        Self { letters: BTreeMap::new(), sent: 0, reader: Sleeper::default(), closed: false }
    }
}

impl<M> Inbox<M> {
    fn put(&mut self, due: SimTime, letter: Letter<M>) {
        self.letters.insert((due, self.sent), letter);
        self.sent += 1;
    }

    /// Takes the first message that has landed.
    fn take(&mut self, now: SimTime) -> Option<M> {
        while let Some(first) = self.letters.first_entry()
            && first.key().0 <= now
        {
            let ((due, _), letter) = first.remove_entry();
            if !letter.is_lost(due) {
                return Some(letter.message);
            }
        }
        None
    }

    /// Has the reader woken when the next message lands.
    fn alert(&mut self, network: &Network) {
        if let Some(((due, _), _)) = self.letters.first_key_value() {
            self.reader.wake_at(network.clock(), *due);
        }
    }

    /// Nobody receives here any more.
    fn close(&mut self) {
        self.closed = true;
        self.reader.leave();
    }

    /// Takes over what has not landed yet.
    fn inherit(&mut self, previous: &mut Self, now: SimTime) {
        previous.close();
        self.letters = previous.letters.split_off(&(now.after(1), 0));
        self.sent = previous.sent;
    }
}

/// Where a host's process receives messages.
pub struct Mailbox<M> {
    network: Network,
    inbox: SharedInbox<M>,
}

impl<M> Mailbox<M> {
    /// The next message, in the order in which they land.
    pub async fn receive(&self) -> M {
        poll_fn(|cx| {
            let mut inbox = self.inbox.borrow_mut();
            match inbox.take(self.network.now()) {
                Some(message) => {
                    inbox.reader.leave();
                    Poll::Ready(message)
                }
                None => {
                    inbox.reader.park(cx.waker());
                    inbox.alert(&self.network);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("under_way", &self.inbox.borrow().letters.len())
            .finish_non_exhaustive()
    }
}

impl<M> Drop for Mailbox<M> {
    /// What lands while nobody receives is lost; what is under way stays so, for the next mailbox of the host.
    fn drop(&mut self) {
        self.inbox.borrow_mut().close();
    }
}
