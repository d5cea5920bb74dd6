//! What only some of the nodes could do, where that keeps the others from nothing.

use std::fmt;

use crate::failure::{Failure, Kind};

/// Nodes that could not do `what`; the others have.
#[derive(Debug)]
pub(super) struct Partly {
    /// Nodes in all.
    pub(super) asked: usize,
    /// What they could not do.
    pub(super) what: &'static str,
    /// Why not, each naming its node.
    pub(super) failures: Vec<Box<dyn Failure>>,
}

impl fmt::Display for Partly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, what, failures } = self;
        write!(f, "{} of {asked} nodes could not {what}:", failures.len())?;
        failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

impl std::error::Error for Partly {}

impl Failure for Partly {
    fn kind(&self) -> Kind {
        let input = self.failures.iter().any(|failure| failure.kind() == Kind::Input);
        if input { Kind::Input } else { Kind::Environment }
    }

    fn hint(&self) -> Option<String> {
        self.failures.iter().find_map(|failure| failure.hint())
    }
}
