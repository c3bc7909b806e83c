//! The program `colocate`.

fn main() {}
