//! The server under test, apart from the requests that are measured: who it is, what it says of itself, how
//! it counts tokens.
//!
//! Nothing here is timed. It speaks through reqwest; the measured requests have [`client`](super::client).
//!
//! | module | what lives there |
//! |---|---|
//! | [`endpoints`] | bounded requests |
//! | [`error`] | every way they fail |
//! | [`ca`] | one more certificate to trust |
//! | `limits` | how much it may say |
//! | [`identity`] | models, runtime, version |
//! | [`metrics`] | `/metrics` |
//! | [`tokenize`] | token counts by the server itself |

pub(crate) mod ca;
pub(crate) mod endpoints;
pub(crate) mod error;
pub(crate) mod identity;
mod limits;
pub(crate) mod metrics;
pub(crate) mod tokenize;

#[cfg(test)]
mod tests;

pub(crate) use self::endpoints::Endpoints;
pub(crate) use self::identity::Chosen;
