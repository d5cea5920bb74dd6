//! Which of the two kernels of an MoE layer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The two GEMMs of an MoE layer. They are different kernels: top-k, routed weight and K differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// `gate_up_proj` (w13): hidden to 2 x intermediate.
    Up,
    /// `down_proj` (w2): intermediate to hidden.
    Down,
}

impl Role {
    /// Both roles, up first.
    pub const BOTH: [Role; 2] = [Role::Up, Role::Down];

    /// `up` or `down`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Up => "up",
            Role::Down => "down",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
