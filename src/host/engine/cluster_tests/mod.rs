//! What only real engines can say: `tests/cluster/up` brings them up.

mod bed;
mod hosts;
