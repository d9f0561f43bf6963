//! The program thalweg.

fn main() {}
