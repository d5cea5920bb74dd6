//! From a profile and the command line to a plan, with where each value came from.
//!
//! Layers: built-in default < profile < flag. The environment names the profile and the server, nothing
//! within a plan. A flag overrides the one field it stands for, never the whole profile.
//!
//! | file | what lives there |
//! |---|---|
//! | `layer` | a part of a plan: what a profile or the flags say |
//! | `parse` | a profile's TOML -> a layer |
//! | `check` | the values a layer may hold |
//! | `catalogue` | the profiles known by name, and those in files |
//! | `resolve`, `workload`, `arrival` | layers -> [`Settled`], with the rules where flags meet profiles |
//! | `draft` | a plan without what only the server can say |
//! | `datafile` | the files a plan is made of, by their content |

mod arrival;
mod catalogue;
mod check;
mod datafile;
mod draft;
mod error;
mod layer;
mod narrowing;
mod origin;
mod parse;
mod resolve;
mod workload;

pub use catalogue::{Profile, Profiles};
pub use datafile::{BadDataFile, fingerprint, unchanged};
pub use draft::{Draft, Files, Settled};
pub use error::{PlanError, ProfileError};
pub use layer::{
    ArrivalKind, ArrivalLayer, Bound, Layer, LengthKind, LimitsLayer, Rate, SamplingLayer, SloLayer,
    WorkloadKind, WorkloadLayer,
};
pub use origin::{Origin, Origins};
pub use resolve::{Layers, resolve};

#[cfg(test)]
mod tests;
