//! Load generator and floors.

fn main() {}
