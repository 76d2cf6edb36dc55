//! Bytes: listeners, connections, the way of a request to its upstream and back.
