//! What a manifest says of itself held against itself.

use super::{Evidence, Manifest};
use crate::artifact::ConfigName;
use crate::artifact::problem::shorten;

impl Manifest {
    /// Where the manifest claims what it does not back itself, if it does.
    pub fn contradiction(&self) -> Option<String> {
        if let Ok((name, _)) = ConfigName::parse(&self.file)
            && name.role != self.role
        {
            return Some(format!(
                "its role is {} and {} is not the name of such a file",
                self.role, self.file
            ));
        }
        if self.created.parse::<jiff::Timestamp>().is_err() {
            return Some(format!("created is \"{}\", which is no RFC 3339 time", shorten(&self.created)));
        }
        let limit = self.device.shared_memory_per_block;
        self.entries.iter().find_map(|(key, entry)| {
            if entry.evidence >= Evidence::Compiled && self.compiler.is_none() {
                return Some(format!("key \"{key}\" is {} and no compiler is named", entry.evidence));
            }
            if entry.evidence >= Evidence::Measured && entry.measured.is_none() {
                return Some(format!("key \"{key}\" is {} and carries no time", entry.evidence));
            }
            let speedup = entry.measured.and_then(|measured| measured.speedup);
            if entry.evidence == Evidence::Confirmed && speedup.is_none() {
                return Some(format!("key \"{key}\" is confirmed and carries no comparison"));
            }
            let confirmed_on = entry.measured.and_then(|measured| measured.confirmed_on);
            if let Some(nodes) =
                confirmed_on.filter(|nodes| entry.evidence < Evidence::Confirmed || *nodes == 0)
            {
                return Some(format!(
                    "key \"{key}\" is {} and says confirmed on {nodes} nodes",
                    entry.evidence
                ));
            }
            if entry.evidence == Evidence::Confirmed && entry.measured.is_some_and(|it| it.disputed.is_some())
            {
                return Some(format!("key \"{key}\" is confirmed and carries a dispute"));
            }
            (entry.shared_bytes > limit).then(|| {
                format!(
                    "key \"{key}\" takes {} bytes of shared memory and its device has {limit}",
                    entry.shared_bytes
                )
            })
        })
    }
}
