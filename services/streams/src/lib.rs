//! Kinesis Data Streams on a journal and a catalog.
