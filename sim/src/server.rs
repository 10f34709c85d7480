//! Connections: the engine behind any byte stream.
