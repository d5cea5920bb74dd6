//! From a profile and the command line to a plan, with where each value came from.
//!
//! Layers: built-in default < profile < flag. The environment names the profile and the server, nothing
//! within a plan. A flag overrides the one field it stands for, never the whole profile.
//!
//! | file | what lives there |
//! |---|---|
//! | `layer` | a part of a plan: what a profile or the flags say |
//! | `check` | the values a layer may hold |
//! | `datafile` | the files a plan is made of, by their content |
//! | `fields` | one field of a plan from its layers, or what holds where nobody says anything |
//! | `workload`, `arrival` | the rules where flags meet profiles |
//! | `resolve` | layers -> [`ResolvedPlan`] |
//! | `parse` | a profile's TOML -> a layer that is a plan without any flag |
//! | `catalogue` | the profiles known by name, and those in files |
//!
//! Each stands on those above it alone.

mod arrival;
mod catalogue;
mod check;
mod datafile;
mod error;
mod fields;
mod layer;
mod narrowing;
mod origin;
mod parse;
mod resolve;
mod workload;

pub(crate) use catalogue::Profiles;
pub(crate) use datafile::{fingerprint, unchanged};
pub(crate) use layer::{
    ArrivalKind, ArrivalLayer, Bound, Layer, LengthKind, LimitsLayer, Profile, Rate, SamplingLayer, SloLayer,
    WorkloadKind, WorkloadLayer,
};
pub(crate) use origin::Origin;
pub(crate) use resolve::{Files, Layers, ResolvedPlan, resolve};

#[cfg(test)]
mod tests;
