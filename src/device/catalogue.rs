//! The known devices, and the ways to name one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};

use super::profile::{self, DeviceProfileError};
use super::{Device, file_name};
use crate::failure::{Failure, Kind};
use crate::fs::{FolderError, ReadError, is_toml, read_text_at_most, toml_files};

static PROFILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/devices");

/// The longest profile read, bytes: ten times the longest embedded one.
const MAX_BYTES: u64 = 65_536;

/// Every known device, ordered by id.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceCatalogue {
    devices: Vec<Device>,
}

impl DeviceCatalogue {
    /// The devices in the binary.
    pub fn embedded() -> &'static Self {
        static EMBEDDED: LazyLock<DeviceCatalogue> = LazyLock::new(|| {
            let profiles = PROFILES.files().filter(|file| is_toml(file.path())).map(|file| {
                let path = file.path().display().to_string();
                let text = file.contents_utf8().expect("an embedded profile is UTF-8");
                (path, text.to_owned())
            });
            // The files are fixed when the binary is built, and a test reads every one of them.
            DeviceCatalogue::empty().extended(profiles).expect("the embedded device profiles are valid")
        });
        &EMBEDDED
    }

    /// The embedded devices with those of `folder/devices/*.toml`: a file with a known id replaces
    /// that device, any other adds one.
    ///
    /// `folder` must exist; it need not have devices.
    pub fn with_profiles(folder: &Path) -> Result<Self, DeviceProfileError> {
        let paths = toml_files(folder, "devices")
            .map_err(|FolderError { path, source }| DeviceProfileError::Read { path, source })?;
        let mut profiles = Vec::new();
        for path in paths {
            profiles.push((path.display().to_string(), read(&path)?));
        }
        Self::embedded().clone().extended(profiles)
    }

    /// The device that `query` means: an id, an alias, or a name as the device or a config file
    /// spells it, in any case, with or without `NVIDIA`.
    ///
    /// A query that is one of [`Device::other_names`] gives the device under that name.
    pub fn find(&self, query: &str) -> Result<Device, UnknownDevice> {
        let named = |matches: &dyn Fn(&str) -> bool| {
            let device = self.devices.iter().find(|device| device.names().any(|name| matches(name)))?;
            Some(device.under_name(matches))
        };
        let (whole, short) = (normal(query), key(query));
        // A whole name means that name; an id or alias means the default name, even where another
        // name without its `NVIDIA` reads alike.
        named(&|name| normal(name) == whole)
            .or_else(|| {
                let means = |device: &&Device| {
                    std::iter::once(&device.id).chain(&device.aliases).any(|text| key(text) == short)
                };
                self.devices.iter().find(means).cloned()
            })
            .or_else(|| named(&|name| key(name) == short))
            .ok_or_else(|| UnknownDevice { query: query.to_owned(), known: self.ids() })
    }

    /// The device whose config files carry exactly this `device_name`, under that name.
    pub fn by_file_name(&self, wanted: &str) -> Option<Device> {
        let exact = |name: &str| file_name(name) == wanted;
        let device = self.devices.iter().find(|device| device.names().any(|name| exact(name)))?;
        Some(device.under_name(exact))
    }

    /// Every device, ordered by id.
    pub fn all(&self) -> &[Device] {
        &self.devices
    }

    fn ids(&self) -> Vec<String> {
        self.devices.iter().map(|device| device.id.clone()).collect()
    }

    fn empty() -> Self {
        Self { devices: Vec::new() }
    }

    /// This catalogue with the profiles (file, text) added; a profile replaces a device of its id.
    pub(super) fn extended(
        self,
        profiles: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, DeviceProfileError> {
        let mut files = BTreeMap::new();
        let mut devices: BTreeMap<String, Device> =
            self.devices.into_iter().map(|device| (device.id.clone(), device)).collect();
        for (file, text) in profiles {
            let device = profile::parse(&file, &text)?;
            files.insert(device.id.clone(), file);
            devices.insert(device.id.clone(), device);
        }
        // Devices that were there before come first, so that a clash is the new file's fault.
        let (new, old): (Vec<&Device>, Vec<&Device>) =
            devices.values().partition(|device| files.contains_key(&device.id));
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        for device in old.into_iter().chain(new) {
            for (field, text) in spellings(device) {
                let other = *taken.entry(key(text)).or_insert(&device.id);
                if other != device.id {
                    return Err(DeviceProfileError::Clash {
                        file: files.get(&device.id).unwrap_or(&device.id).clone(),
                        field: field.to_owned(),
                        value: text.clone(),
                        other: other.to_owned(),
                    });
                }
            }
        }
        Ok(Self { devices: devices.into_values().collect() })
    }
}

/// Everything a device answers to, with the field it stands in.
fn spellings(device: &Device) -> impl Iterator<Item = (&'static str, &String)> {
    let aliases = device.aliases.iter().map(|alias| ("aliases", alias));
    let others = device.other_names.iter().map(|name| ("other_names", name));
    [("id", &device.id), ("name", &device.name)].into_iter().chain(aliases).chain(others)
}

/// The form in which two names are compared: case and the kind of separator do not matter.
fn normal(text: &str) -> String {
    text.trim().to_lowercase().replace([' ', '_'], "-")
}

/// [`normal`], without the vendor: `NVIDIA GB10`, `NVIDIA_GB10`, `nvidia-gb10` and `gb10` are one.
fn key(text: &str) -> String {
    let text = normal(text);
    text.strip_prefix("nvidia-").map(str::to_owned).unwrap_or(text)
}

fn read(path: &Path) -> Result<String, DeviceProfileError> {
    read_text_at_most(path, MAX_BYTES).map_err(|error| match error {
        ReadError::Io(source) => DeviceProfileError::Read { path: path.to_owned(), source },
        ReadError::TooLarge { bytes, limit } => {
            DeviceProfileError::TooLarge { path: path.to_owned(), bytes, limit }
        }
    })
}

/// A device nobody has a profile of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown device `{query}`; known: {}", known.join(", "))]
pub struct UnknownDevice {
    /// What was asked for.
    pub query: String,
    /// The ids of the known devices.
    pub known: Vec<String>,
}

impl Failure for UnknownDevice {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some("another device is added as devices/<id>.toml in a folder given with --profiles".to_owned())
    }
}
