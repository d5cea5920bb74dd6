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

pub mod ca;
pub mod endpoints;
pub mod error;
pub mod identity;
mod limits;
pub mod metrics;
pub mod tokenize;

#[cfg(test)]
mod tests;

pub use self::endpoints::{Endpoints, Timeouts};
pub use self::error::ServerError;
pub use self::identity::{Chosen, Model, WrongModel};
