//! Chores and tidy tests.

fn main() {}
