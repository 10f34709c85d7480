//! A link between two real servers that the test cuts at a byte: a replica connects to it, and it to the primary.
//!
//! What the primary sends before its stream begins (the handshake, the snapshot) passes whole. Of the stream, as much passes
//! as the test allows; all of it is kept, to be compared.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

/// The link.
pub struct CutLink {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    /// How many bytes of the stream may pass.
    allowed: usize,
    /// The primary's offset where the stream begins, once that is known.
    start: Option<u64>,
    stream: Vec<u8>,
}

impl CutLink {
    /// A link to the primary at this socket, for one replica. `allowed` bytes of the stream will pass.
    pub fn new(primary: PathBuf, allowed: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Mutex::new(Shared { allowed, start: None, stream: Vec::new() }));
        let seen = Arc::clone(&shared);
        // It ends with the test.
        thread::spawn(move || {
            for replica in listener.incoming() {
                let replica = replica.expect("the replica connects");
                let primary = UnixStream::connect(&primary).expect("the primary listens");
                let (mut from, mut to) = (replica.try_clone().unwrap(), primary.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                // A replica that begins anew has broken this off.
                let _ = forward(primary, &replica, &seen);
                let _ = replica.shutdown(Shutdown::Both);
            }
        });
        Self { port, shared }
    }

    /// Where a replica finds it, on this machine.
    pub fn port(&self) -> String {
        self.port.to_string()
    }

    /// The primary's offset where the stream begins.
    ///
    /// # Panics
    /// The replica has not been synchronised.
    pub fn start(&self) -> u64 {
        self.shared.lock().unwrap().start.expect("the replica is synchronised")
    }

    /// What the primary wrote to its stream so far, whether that passed or not.
    pub fn stream(&self) -> Vec<u8> {
        self.shared.lock().unwrap().stream.clone()
    }
}

/// Hands on what the primary sends, until it sends no more.
fn forward(mut primary: UnixStream, mut replica: &TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    // Lines, of which the last but one says where the stream will begin, and the last how long the snapshot is.
    let snapshot = loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            primary.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        replica.write_all(&line)?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if let Some(start) = line.strip_prefix("+FULLRESYNC ") {
            let start = start.split(' ').nth(1).and_then(|start| start.parse().ok());
            let mut shared = shared.lock().unwrap();
            (shared.start, shared.stream) = (start, Vec::new());
        } else if let Some(length) = line.strip_prefix('$') {
            break length.parse().expect("a snapshot on a disk says how long it is");
        }
    };
    io::copy(&mut (&mut primary).take(snapshot), &mut replica)?;
    let mut chunk = [0; 16 * 1024];
    loop {
        let read = primary.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        let mut shared = shared.lock().unwrap();
        let passes = shared.allowed.saturating_sub(shared.stream.len()).min(read);
        shared.stream.extend_from_slice(&chunk[..read]);
        drop(shared);
        replica.write_all(&chunk[..passes])?;
    }
}
