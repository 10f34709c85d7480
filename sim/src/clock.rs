//! One clock a node.
