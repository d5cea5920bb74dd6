//! The fields of a plan, one by one: what each layer says of it, what holds where nobody says anything, and
//! which of these it was.

use std::path::Path;

use super::datafile::BadDataFile;
use super::error::PlanError;
use super::layer::{Layer, Profile};
use super::origin::{Origin, Origins, flag};
use crate::bench::plan::{DataFile, RequestLimits};

/// A plan in the making.
pub(super) struct Settling<'a> {
    pub profile: Option<&'a Profile>,
    pub flags: &'a Layer,
    pub origins: Origins,
    pub fingerprint: &'a dyn Fn(&Path) -> Result<DataFile, BadDataFile>,
}

impl Settling<'_> {
    /// What the highest layer that says something says, and which one it is.
    pub(super) fn find<T>(&self, field: &str, of: impl Fn(&Layer) -> Option<T>) -> Option<(T, Origin)> {
        of(self.flags).map(|value| (value, Origin::Flag(flag(field)))).or_else(|| {
            let profile = self.profile?;
            of(&profile.layer).map(|value| (value, Origin::Profile(profile.name.clone())))
        })
    }

    /// The same with a default; where it came from is remembered under the field's name.
    pub(super) fn value<T>(
        &mut self,
        field: &'static str,
        of: impl Fn(&Layer) -> Option<T>,
        default: T,
    ) -> T {
        let (value, origin) = self.find(field, of).unwrap_or((default, Origin::Default));
        self.origins.set(field, origin);
        value
    }

    /// The same where there is no default.
    pub(super) fn required<T>(
        &mut self,
        field: &'static str,
        of: impl Fn(&Layer) -> Option<T>,
        what: impl Fn() -> String,
    ) -> Result<T, PlanError> {
        let (value, origin) = self.find(field, of).ok_or_else(|| PlanError::Missing {
            what: what(),
            field,
            flag: flag(field),
        })?;
        self.origins.set(field, origin);
        Ok(value)
    }

    /// The file at `path`, named by `origin`.
    pub(super) fn file(&self, path: &Path, field: &str, origin: &Origin) -> Result<DataFile, PlanError> {
        (self.fingerprint)(path).map_err(|source| {
            let flag = match origin {
                Origin::Flag(flag) => (*flag).to_owned(),
                other => format!("{other}, field `{field}`"),
            };
            PlanError::File { flag, source }
        })
    }
}

/// The name of a plan without a profile.
pub(super) const CUSTOM: &str = "custom";

// What holds where nobody says anything: the `medium` profile's load, and otherwise what
// sglang.bench_serving does (0.5.x: seed 1, one warm-up request, temperature 0, ignore_eos, rate inf), so
// that a bare run measures the same thing. The limits are our choice.

/// Requests.
pub(super) const REQUESTS: u32 = 100;
/// Tokens in a prompt.
pub(super) const INPUT_TOKENS: u32 = 512;
/// Tokens asked for.
pub(super) const OUTPUT_TOKENS: u32 = 512;
/// Of `uniform` lengths: from one token up.
pub(super) const RANGE_RATIO: f64 = 0.0;
/// Requests thrown away first.
pub(super) const WARMUP: u32 = 1;
/// Seed.
pub(super) const SEED: u64 = 1;

/// Limits.
pub(super) const LIMITS: RequestLimits = RequestLimits {
    // Three tries of TCP's SYN (after 1 s, 3 s and 7 s, RFC 6298) and some.
    connect_s: 10.0,
    // A queue of a hundred short answers at the tens of tokens per second such clusters reach.
    first_token_s: 600.0,
    // A server may push a request back into its queue when its cache is full.
    stall_s: 120.0,
    request_s: 3600.0,
    // SGLang's /generate repeats the whole text in every event: some 130 MB for 8,192 tokens of 4 bytes.
    answer_bytes: 256 << 20,
    failed_share: 0.05,
    retries: 0,
};
