//! `logging` into what a monitor keeps of a container's output.

use crate::desired::LogSpec;
use crate::engine::EngineError;
use crate::engine::embedded::not_supported;
use crate::runtime::monitor::log::LogOptions;
use crate::value::ByteSize;

/// Reads `logging`: the drivers that keep lines, with their `max-size` and `max-file`, and `none`.
pub(super) fn log_options(spec: &LogSpec) -> Result<Option<LogOptions>, EngineError> {
    let mut options = LogOptions::default();
    match spec.driver.as_deref() {
        None | Some("" | "json-file" | "local") => {}
        Some("none") => return Ok(None),
        Some(driver) => {
            let what = format!("keep output with the logging driver `{driver}`");
            return Err(not_supported(what));
        }
    }
    if spec.options.contains_key("max-size") {
        // Docker's own numbers where the size of a file alone is limited.
        options.max_files = if spec.driver.as_deref() == Some("local") {
            5
        } else {
            1
        };
    }
    for (name, value) in &spec.options {
        let act = || format!("use `{value}` as the logging option `{name}`");
        match name.as_str() {
            "max-size" => {
                let size: ByteSize = value
                    .parse()
                    .map_err(|error| EngineError::act(act(), error))?;
                options.max_size_bytes = u64::try_from(size.bytes()).unwrap_or(u64::MAX);
            }
            "max-file" => {
                let count: u32 = value
                    .parse()
                    .map_err(|error| EngineError::act(act(), error))?;
                options.max_files = count.max(1);
            }
            // They add to each line what no reader of ours shows.
            "labels" | "labels-regex" | "env" | "env-regex" | "tag" | "compress" | "mode"
            | "max-buffer-size" => {}
            _ => {
                let what = format!("keep output with the logging option `{name}`");
                return Err(not_supported(what));
            }
        }
    }
    Ok(Some(options))
}
