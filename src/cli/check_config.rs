//! `check-config`: reads a configuration as `run` would, and starts nothing.

use std::path::Path;

use serde::Serialize;

use super::files::Places;
use super::status::settings;
use super::text::json;
use super::{Failure, Outcome};
use crate::config::{Config, Origin, Overrides};
use crate::control::protocol::SettingRow;

/// What `--json` prints for a good file.
#[derive(Serialize)]
struct Checked<'a> {
    file: &'a Path,
    good: bool,
    warnings: Vec<String>,
    settings: Vec<SettingRow>,
}

pub(super) fn check(places: &Places, as_json: bool) -> Outcome {
    let file = places.config_file().ok_or_else(|| {
        Failure::of_configuration(format!(
            "there is no {}; name the file to check with --config FILE",
            places.config_path().display()
        ))
    })?;
    let config = Config::load(Some(&file), Overrides::default(), &places.env())?;
    let mut warnings = config.warnings().to_vec();
    if let Err(error) = config.owncast.admin_password.get() {
        // A credential is seen by the service alone.
        warnings.push(format!("{error}\n  (a systemd credential cannot be seen from here)"));
    }
    let rows = |wanted: &dyn Fn(Origin) -> bool| -> Vec<SettingRow> {
        let settings = config.settings().into_iter().filter(|setting| wanted(setting.origin));
        settings
            .map(|setting| SettingRow {
                field: setting.field.to_owned(),
                value: setting.value,
                origin: setting.origin.to_string(),
            })
            .collect()
    };
    if as_json {
        return json(&Checked { file: &file, good: true, warnings, settings: rows(&|_| true) });
    }
    let mut text = format!("{} is good.\n", file.display());
    for warning in warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    let set = rows(&|origin| !matches!(origin, Origin::Default | Origin::Owncast));
    text.push('\n');
    text.push_str(&settings(&set));
    Ok(text)
}
