//! What a body may ask of us. Every decoder keeps these, so that no body costs more than its size.

/// Deepest nesting of lists and maps (and of CBOR tags). The deepest input of any modelled operation has 4
/// levels; decoding is recursive, so this is also what keeps the stack small.
pub const DEPTH_MAX: usize = 64;

/// Most values in one body. The largest modelled input (PutRecords with 500 records of three members) has about
/// 2,000; without a bound a 10 MiB body of empty lists would cost hundreds of megabytes as a tree.
pub const VALUES_MAX: usize = 100_000;
