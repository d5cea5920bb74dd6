//! JSON schemas of the files, as published in `docs/schemas/`.

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use super::{NodesFile, RunFile, SummaryFile};
use crate::bench::record::RequestRecord;

/// Each schema with its file's name.
pub(crate) fn schemas() -> [(&'static str, Value); 4] {
    fn of<T: JsonSchema>() -> Value {
        schema_for!(T).to_value()
    }
    [
        ("run.schema.json", of::<RunFile>()),
        ("request.schema.json", of::<RequestRecord>()),
        ("summary.schema.json", of::<SummaryFile>()),
        ("nodes.schema.json", of::<NodesFile>()),
    ]
}
