//! What kind of failure an error is: the one thing a caller outside needs to know to act on it.

/// The kinds of failure, each with the exit code the programs end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A check said no: an unsafe config, a regression, a failed doctor item.
    CheckFailed,
    /// Arguments or input that cannot be right.
    Input,
    /// The environment cannot do it: no compiler, no network, a node that does not answer.
    Environment,
    /// Stopped before the end; what was done is kept and the run can be resumed.
    Incomplete,
    /// Stopped by the user; what was done is kept and the run can be resumed.
    Interrupted,
}

impl Kind {
    /// The process exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::CheckFailed => 1,
            Kind::Input => 2,
            Kind::Environment => 3,
            Kind::Incomplete => 4,
            Kind::Interrupted => 130,
        }
    }
}

/// An error a user may meet, with the kind of failure it is and what to try next.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// Which kind of failure this is.
    fn kind(&self) -> Kind;

    /// What the user can do about it, where that is known. Printed apart from the message.
    fn hint(&self) -> Option<String> {
        None
    }
}

impl<F: Failure> From<F> for Box<dyn Failure> {
    fn from(failure: F) -> Self {
        Box::new(failure)
    }
}
