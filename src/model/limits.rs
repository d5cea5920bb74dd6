//! How much a model may say, and whoever hands it over.

/// Bytes of a `config.json` we are willing to read. The largest published ones (long
/// `modules_to_not_convert` lists) are about 1 MiB.
pub(crate) const MAX_CONFIG_BYTES: usize = 16 * 1024 * 1024;

/// The largest number a size or count may be. Published models stay below 300,000 (vocabularies)
/// and 60,000 (widths); the cap keeps every later product inside 64 bits.
pub(crate) const MAX_COUNT: u32 = 1_000_000;

/// Bytes of a recipe file we are willing to read.
pub(super) const MAX_RECIPE_BYTES: u64 = 1024 * 1024;

/// The largest tp or ep accepted.
pub(crate) const MAX_PARALLELISM: u32 = 1024;

/// Bytes of a revision's name in the hub's cache: a commit hash, with room.
pub(super) const MAX_REVISION_BYTES: u64 = 4096;

/// Redirects followed. The hub answers with one.
pub(super) const MAX_REDIRECTS: usize = 5;
