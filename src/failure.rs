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

/// What lies behind a failure, the outermost first, as far as its message or an earlier cause does not say it: many
/// messages end with their cause.
pub fn causes(failure: &dyn Failure) -> Vec<String> {
    let mut said = vec![failure.to_string()];
    let mut next = failure.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
        next = cause.source();
    }
    said.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Chain {
        #[error("cannot fetch the wheel: {0}")]
        Said(#[source] Box<Chain>),
        #[error("the request failed")]
        Unsaid(#[source] Box<Chain>),
        #[error(transparent)]
        Transparent(Box<Chain>),
        #[error("connection refused")]
        Refused,
    }

    impl Failure for Chain {
        fn kind(&self) -> Kind {
            Kind::Environment
        }
    }

    #[test]
    fn causes_are_what_the_message_does_not_say() {
        let refused = || Box::new(Chain::Refused);
        let unsaid = || Box::new(Chain::Unsaid(refused()));
        assert_eq!(causes(&Chain::Refused), [""; 0]);
        assert_eq!(causes(&Chain::Said(refused())), [""; 0]);
        assert_eq!(causes(&Chain::Unsaid(refused())), ["connection refused"]);
        assert_eq!(causes(&Chain::Said(unsaid())), ["connection refused"]);
        assert_eq!(causes(&Chain::Transparent(Box::new(Chain::Said(unsaid())))), ["connection refused"]);
        let deep = Chain::Unsaid(Box::new(Chain::Said(unsaid())));
        let expected = ["cannot fetch the wheel: the request failed", "connection refused"];
        assert_eq!(causes(&deep), expected);
    }
}
