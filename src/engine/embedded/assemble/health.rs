//! A health check from what the file says and what the image says.

use crate::desired::{HealthProbe, Healthcheck};
use crate::runtime::image::ImageHealthcheck;
use crate::runtime::monitor::health::HealthCheck;
use crate::value::Duration;

const DEFAULT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(30);
const DEFAULT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
const DEFAULT_START_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);
const DEFAULT_RETRIES: u32 = 3;

/// Returns the check that counts: each part is the file's, else the image's, else Docker's default.
pub(super) fn health_check(
    own: Option<&Healthcheck>,
    image: Option<&ImageHealthcheck>,
) -> Option<HealthCheck> {
    let probe = own.and_then(|own| own.probe.as_ref());
    let command = match probe {
        Some(HealthProbe::Disabled) => return None,
        Some(HealthProbe::Shell(line)) => shell(line),
        Some(HealthProbe::Exec(words)) => words.clone(),
        None => image_command(image?)?,
    };
    let pick = |own: Option<Duration>, image: Option<std::time::Duration>, default| {
        let set = |duration: &std::time::Duration| !duration.is_zero();
        own.map(Duration::to_std)
            .filter(set)
            .or(image.filter(set))
            .unwrap_or(default)
    };
    let zero = std::time::Duration::ZERO;
    let retries = own
        .and_then(|own| own.retries)
        .or(image.and_then(|image| image.retries));
    Some(HealthCheck {
        command,
        interval: pick(
            own.and_then(|own| own.interval),
            image.and_then(|i| i.interval),
            DEFAULT_INTERVAL,
        ),
        timeout: pick(
            own.and_then(|own| own.timeout),
            image.and_then(|i| i.timeout),
            DEFAULT_TIMEOUT,
        ),
        retries: retries
            .filter(|&retries| retries > 0)
            .unwrap_or(DEFAULT_RETRIES),
        start_period: pick(
            own.and_then(|own| own.start_period),
            image.and_then(|i| i.start_period),
            zero,
        ),
        start_interval: pick(
            own.and_then(|own| own.start_interval),
            image.and_then(|i| i.start_interval),
            DEFAULT_START_INTERVAL,
        ),
    })
}

fn shell(line: &str) -> Vec<String> {
    ["/bin/sh", "-c", line].map(str::to_owned).to_vec()
}

fn image_command(image: &ImageHealthcheck) -> Option<Vec<String>> {
    match image.test.split_first()? {
        (kind, words) if kind == "CMD" && !words.is_empty() => Some(words.to_vec()),
        (kind, [line]) if kind == "CMD-SHELL" => Some(shell(line)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(probe: Option<HealthProbe>) -> Healthcheck {
        Healthcheck {
            probe,
            interval: None,
            timeout: None,
            retries: Some(7),
            start_period: None,
            start_interval: None,
        }
    }

    fn image() -> ImageHealthcheck {
        ImageHealthcheck {
            test: vec!["CMD".to_owned(), "ready".to_owned()],
            interval: Some(std::time::Duration::from_secs(2)),
            timeout: None,
            start_period: None,
            start_interval: None,
            retries: Some(9),
        }
    }

    #[test]
    fn what_the_file_leaves_open_is_the_images_and_then_the_default() {
        let check = health_check(Some(&own(None)), Some(&image())).unwrap();
        assert_eq!(check.command, ["ready"]);
        assert_eq!(check.interval, std::time::Duration::from_secs(2));
        assert_eq!((check.timeout, check.retries), (DEFAULT_TIMEOUT, 7));
    }

    #[test]
    fn a_disabled_check_disables_the_images_too() {
        assert_eq!(
            health_check(Some(&own(Some(HealthProbe::Disabled))), Some(&image())),
            None
        );
        assert_eq!(health_check(None, None), None);
    }
}
