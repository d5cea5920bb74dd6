//! How a model comes up on the nodes of an inventory: its recipe, what is known of runtimes, and what that comes to.
//!
//! Pure: text and facts go in, a [`LaunchPlan`] comes out. One module an engine says what its processes are called
//! with; [`script`] writes the plan as the commands of a shell.

mod arguments;
mod attention;
mod derive;
mod engine;
mod entries;
mod error;
#[cfg_attr(not(test), expect(dead_code, reason = "the commands that bring models up come next"))]
pub(crate) mod failures;
mod kind;
pub(crate) mod live;
mod member;
mod memory;
pub(crate) mod milestone;
mod plan;
mod recipe;
mod release;
mod role;
mod rules;
mod script;
mod served;
mod split;

pub(crate) use derive::{DerivableModel, derive};
pub(crate) use error::PlanError;
pub(crate) use failures::{Explanation, KnownFailures};
pub(crate) use member::ServingNode;
pub(crate) use memory::NodeMemory;
pub(crate) use plan::{Action, LaunchPlan, PlanRequest, Stage, Step, taking_part};
pub(crate) use recipe::{ServingRecipe, ServingRecipeError, number, variants};
pub(crate) use release::Release;
pub(crate) use role::Role;
pub(crate) use rules::{Notice, NoticeKind, Rules};
pub(crate) use script::{line, script};
pub(crate) use served::{PURPOSE, Served};
