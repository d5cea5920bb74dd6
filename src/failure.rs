//! What kind of failure an error is: the one thing a caller outside needs to know to act on it.

use std::error::Error;

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
pub trait Failure: Error + Send + Sync + 'static {
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

/// A failure of whatever kind can stand behind another one.
impl Error for Box<dyn Failure> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        (**self).source()
    }
}

/// What can be a hint.
pub(crate) trait IntoHint {
    /// The hint, if it is one.
    fn into_hint(self) -> Option<String>;
}

impl IntoHint for &str {
    fn into_hint(self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl IntoHint for String {
    fn into_hint(self) -> Option<String> {
        Some(self)
    }
}

impl IntoHint for Option<String> {
    fn into_hint(self) -> Option<String> {
        self
    }
}

/// Implements [`Failure`] for an enum whose variants partly hold failures of the floor below.
///
/// Of a variant named after `forwarding`, which has one unnamed field, kind and hint are those of what it holds. Every
/// other one states its kind and, behind a comma, a hint where there is one; a variant that is forgotten does not
/// compile.
macro_rules! forwards {
    (
        impl Failure for $error:ident $(forwarding $($variant:ident),+)? {
            $($pattern:pat $(if $guard:expr)? => $kind:expr $(, $hint:expr)?;)*
        }
    ) => {
        #[allow(unused_variables, reason = "what a pattern names may be for one of the two alone")]
        impl Failure for $error {
            fn kind(&self) -> Kind {
                match self {
                    $($(Self::$variant(error) => error.kind(),)+)?
                    $($pattern $(if $guard)? => $kind,)*
                }
            }

            fn hint(&self) -> Option<String> {
                match self {
                    $($(Self::$variant(error) => error.hint(),)+)?
                    $($pattern $(if $guard)? => None$(.or($crate::failure::IntoHint::into_hint($hint)))?,)*
                }
            }
        }
    };
}
pub(crate) use forwards;

/// What lies behind a failure, the outermost first, as far as its message or an earlier cause does not say it: many
/// messages end with their cause.
pub(crate) fn causes(failure: &dyn Failure) -> Vec<String> {
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
        // A box between hides nothing.
        let boxed = Upstairs::Below(Box::new(Chain::Unsaid(refused())));
        assert_eq!(causes(&boxed), ["connection refused"]);
    }

    #[derive(Debug, thiserror::Error)]
    enum Upstairs {
        #[error(transparent)]
        Below(Box<dyn Failure>),
        #[error("busy for {seconds} s")]
        Busy { seconds: u32 },
        #[error("wrong")]
        Wrong,
    }

    forwards! {
        impl Failure for Upstairs forwarding Below {
            Self::Busy { seconds } if *seconds > 9 => Kind::Environment, format!("wait {seconds} s");
            Self::Busy { .. } => Kind::Incomplete;
            Self::Wrong => Kind::Input, "do it right";
        }
    }

    #[test]
    fn a_floor_states_its_own_variants_and_passes_on_the_others() {
        let said = |failure: &dyn Failure| (failure.kind(), failure.hint());
        let busy = |seconds| Upstairs::Busy { seconds };
        assert_eq!(said(&Upstairs::Below(Chain::Refused.into())), (Kind::Environment, None));
        assert_eq!(said(&Upstairs::Below(Upstairs::Wrong.into())), (Kind::Input, Some("do it right".into())));
        assert_eq!(said(&busy(10)), (Kind::Environment, Some("wait 10 s".into())));
        assert_eq!(said(&busy(9)), (Kind::Incomplete, None));
    }
}
