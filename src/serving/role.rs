//! What a process is to the others that serve a model with it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::host::container_spec::Labels;

/// What a process is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// It answers clients; without Ray it is rank 0.
    Server,
    /// Another rank.
    Rank(usize),
    /// Ray's first node.
    RayHead,
    /// Ray's share of another node.
    RayWorker,
}

impl Role {
    const KEY: &str = "role";
    const RANK_KEY: &str = "rank";

    /// As labels and programs have it; a rank's number stands beside it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Rank(_) => "rank",
            Role::RayHead => "ray_head",
            Role::RayWorker => "ray_worker",
        }
    }

    /// Its number among the ranks; none where Ray gives them out.
    pub(crate) fn rank(self) -> Option<usize> {
        match self {
            Role::Rank(rank) => Some(rank),
            Role::Server | Role::RayHead | Role::RayWorker => None,
        }
    }

    /// `labels`, of a process in this role.
    #[must_use]
    pub(in crate::serving) fn labelled(self, mut labels: Labels) -> Labels {
        labels.more.insert(Self::KEY.to_owned(), self.name().to_owned());
        labels.more.extend(self.rank().map(|rank| (Self::RANK_KEY.to_owned(), rank.to_string())));
        labels
    }

    /// The role of whoever has these labels, whose keys are whole; none where they say none.
    pub(in crate::serving) fn of(labels: &BTreeMap<String, String>) -> Option<Self> {
        let label = |key: &str| labels.get(&format!("{}{key}", Labels::PREFIX)).map(String::as_str);
        Some(match label(Self::KEY)? {
            "server" => Role::Server,
            "rank" => Role::Rank(label(Self::RANK_KEY)?.parse().ok()?),
            "ray_head" => Role::RayHead,
            "ray_worker" => Role::RayWorker,
            _ => return None,
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Server => f.pad("server"),
            Role::Rank(rank) => f.pad(&format!("rank {rank}")),
            Role::RayHead => f.pad("Ray's head"),
            Role::RayWorker => f.pad("Ray's worker"),
        }
    }
}

impl Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(Self::KEY, self.name())?;
        map.serialize_entry(Self::RANK_KEY, &self.rank())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_back_from_its_labels() {
        for role in [Role::Server, Role::Rank(3), Role::RayHead, Role::RayWorker] {
            assert_eq!(Role::of(&role.labelled(Labels::default()).pairs()), Some(role));
        }
        assert_eq!(Role::of(&Labels::default().pairs()), None);
        for (role, rank) in [("king", "1"), ("rank", "first"), ("rank", "-1")] {
            let label = |key: &str, value: &str| (format!("{}{key}", Labels::PREFIX), value.to_owned());
            assert_eq!(Role::of(&[label("role", role), label("rank", rank)].into()), None, "{role} {rank}");
        }
    }
}
