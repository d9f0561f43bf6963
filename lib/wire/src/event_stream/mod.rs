//! Event streams: `application/vnd.amazon.eventstream`.
