//! What people read and programs keep of a result: SVG plots, an HTML page, a Parquet table.
//!
//! Generic on purpose: plain data in, text or bytes out. Nothing here knows a tuner, a model or a kernel,
//! only `commands` calls it, and only this module imports plotters and polars.

pub mod html;
pub mod plot;
pub(crate) mod table_file;
