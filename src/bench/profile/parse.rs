//! A profile's TOML -> a layer. Strict: a mistyped key must not pass for one left out.

use std::path::Path;

use super::error::{PlanError, ProfileError};
use super::layer::{ArrivalKind, Layer, LengthKind, Profile, WorkloadKind};
use super::narrowing::{Demand, listed};
use super::origin::Origin;
use super::resolve::{Layers, resolve};
use super::{arrival, check, workload};
use crate::bench::plan::DataFile;
use crate::toml_text::{BadToml, from_toml};

/// The profile that `text` describes. `file` is its name in errors; its last part without `.toml` is the
/// profile's name, and its folder is what files it names are relative to.
pub(super) fn parse(file: &str, text: &str) -> Result<Profile, ProfileError> {
    let mut layer: Layer = from_toml(text).map_err(|BadToml { place, message }| ProfileError::Shape {
        file: file.to_owned(),
        place,
        message,
    })?;
    check_all(file, &layer)?;
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    for named in [&mut layer.workload.file, &mut layer.arrival.file].into_iter().flatten() {
        *named = folder.join(&*named);
    }
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let profile = Profile { name: stem, about: layer.about.take().unwrap_or_default(), layer };
    complete(file, &profile)?;
    Ok(profile)
}

/// Whether the profile is a plan without any flag. What its files hold does not matter to that.
fn complete(file: &str, profile: &Profile) -> Result<(), ProfileError> {
    let layers = Layers { profile: Some((profile, &Origin::Default)), flags: &Layer::default() };
    let unread = |path: &Path| Ok(DataFile { name: path.display().to_string(), sha256: String::new() });
    let file = file.to_owned();
    match resolve(layers, &unread) {
        Ok(_) => Ok(()),
        Err(PlanError::Missing { what, field, .. }) => Err(ProfileError::Shape {
            file,
            place: format!("field `{field}`"),
            message: format!("{what} needs it"),
        }),
        Err(PlanError::Value { field, value, accepted, .. }) => {
            Err(ProfileError::Value { file, field: field.to_owned(), value, accepted })
        }
        Err(other) => {
            Err(ProfileError::Shape { file, place: "as a whole".into(), message: other.to_string() })
        }
    }
}

/// Values that can be, in fields that belong to the kinds the profile names.
fn check_all(file: &str, layer: &Layer) -> Result<(), ProfileError> {
    let refuse = |field: &str, value: &str, accepted: String| ProfileError::Value {
        file: file.to_owned(),
        field: field.to_owned(),
        value: value.to_owned(),
        accepted,
    };
    check::check(layer).map_err(|wrong| refuse(wrong.field, &wrong.value, wrong.accepted))?;

    let kind = layer.workload.kind.unwrap_or(WorkloadKind::Random);
    for Demand { name, kinds } in workload::demands(&layer.workload) {
        if !kinds.contains(&kind) {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            let field = workload::field(name);
            let accepted = format!("`workload.kind` to be {} with `{field}`", listed(&names));
            return Err(refuse("workload.kind", &format!("`{}`", kind.name()), accepted));
        }
    }
    if layer.workload.lengths == Some(LengthKind::Exact) && layer.workload.range_ratio.is_some() {
        return Err(refuse("workload.lengths", "`exact`", "`uniform` with `workload.range_ratio`".into()));
    }
    let demands = arrival::demands(&layer.arrival);
    let Some(kind) = layer.arrival.kind else {
        return match demands.first() {
            Some(_) => {
                let names: Vec<&str> = ArrivalKind::ALL.iter().map(|kind| kind.name()).collect();
                Err(refuse("arrival.kind", "nothing", listed(&names)))
            }
            None => Ok(()),
        };
    };
    for Demand { name, kinds } in demands {
        if !kinds.contains(&kind) {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            let field = arrival::field(name);
            let accepted = format!("`arrival.kind` to be {} with `{field}`", listed(&names));
            return Err(refuse("arrival.kind", &format!("`{}`", kind.name()), accepted));
        }
    }
    Ok(())
}
