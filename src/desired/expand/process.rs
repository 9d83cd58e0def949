//! What runs inside, how it ends, its health, output and hooks.

use super::desk::Desk;
use crate::compose::model;
use crate::desired::{
    HealthProbe, Healthcheck, HookSpec, Hooks, LogSpec, ProcessSpec, RestartPolicy, StopSpec,
};
use crate::value::ImageRef;
use std::collections::BTreeMap;

pub(super) fn process(model: &model::Service) -> ProcessSpec {
    ProcessSpec {
        entrypoint: model.entrypoint.clone(),
        command: model.command.clone(),
        environment: variables(&model.environment),
        working_dir: model.working_dir.clone(),
        user: model.user.clone(),
        group_add: model.group_add.clone(),
        tty: model.tty,
        stdin_open: model.stdin_open,
        init: model.init,
    }
}

/// A variable without a value was looked for and not found: it does not exist inside either. Nor does one without
/// a name, of which loading the file warned.
fn variables(environment: &BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
    let given = |(name, value): (&String, &Option<String>)| Some((name.clone(), value.clone()?));
    let named = environment.iter().filter(|(name, _)| !name.is_empty());
    named.filter_map(given).collect()
}

pub(super) fn stop(desk: &mut Desk<'_>, model: &model::Service) -> StopSpec {
    StopSpec {
        signal: desk.parse_some("stop_signal", model.stop_signal.as_ref()),
        grace: model.stop_grace_period,
    }
}

pub(super) fn healthcheck(desk: &mut Desk<'_>, model: &model::Service) -> Option<Healthcheck> {
    let check = model.healthcheck.as_ref()?;
    Some(Healthcheck {
        probe: probe(desk, check),
        interval: check.interval,
        timeout: check.timeout,
        retries: check
            .retries
            .and_then(|retries| u32::try_from(retries).ok()),
        start_period: check.start_period,
        start_interval: check.start_interval,
    })
}

fn probe(desk: &mut Desk<'_>, check: &model::Healthcheck) -> Option<HealthProbe> {
    if check.disable {
        return Some(HealthProbe::Disabled);
    }
    let (kind, rest) = check.test.split_first()?;
    match kind.as_str() {
        "NONE" => Some(HealthProbe::Disabled),
        "CMD-SHELL" => Some(HealthProbe::Shell(rest.join(" "))),
        "CMD" if !rest.is_empty() => Some(HealthProbe::Exec(rest.to_vec())),
        _ => {
            let field = "healthcheck.test";
            desk.refuse_support(
                field,
                "expected `CMD` or `CMD-SHELL` and a command, or `NONE`",
            );
            None
        }
    }
}

/// `deploy.restart_policy` wins over `restart`, as it does in Docker Compose.
pub(super) fn restart(desk: &mut Desk<'_>, model: &model::Service) -> RestartPolicy {
    let deployed = model
        .deploy
        .as_ref()
        .and_then(|deploy| deploy.restart_policy.as_ref());
    if let Some(policy) = deployed {
        let max_retries = policy.max_attempts.and_then(|max| u32::try_from(max).ok());
        return match policy.condition.as_deref() {
            Some("none" | "no") => RestartPolicy::No,
            Some("unless-stopped") => RestartPolicy::UnlessStopped,
            Some("on-failure") => RestartPolicy::OnFailure { max_retries },
            _ => RestartPolicy::Always,
        };
    }
    match model.restart.as_deref() {
        None | Some("no" | "") => RestartPolicy::No,
        Some("always") => RestartPolicy::Always,
        Some("unless-stopped") => RestartPolicy::UnlessStopped,
        Some("on-failure") => RestartPolicy::OnFailure { max_retries: None },
        Some(text) => restart_with_count(desk, text),
    }
}

fn restart_with_count(desk: &mut Desk<'_>, text: &str) -> RestartPolicy {
    let Some(count) = text.strip_prefix("on-failure:") else {
        let expected = "expected `no`, `always`, `unless-stopped` or `on-failure[:N]`";
        desk.refuse_support("restart", expected);
        return RestartPolicy::No;
    };
    RestartPolicy::OnFailure {
        max_retries: desk.parse("restart", count),
    }
}

pub(super) fn logging(model: &model::Service) -> LogSpec {
    let logging = model.logging.as_ref();
    LogSpec {
        driver: logging.and_then(|logging| logging.driver.clone()),
        options: logging
            .map(|logging| logging.options.clone())
            .unwrap_or_default(),
    }
}

/// Reads the hooks; those before the start name an image only where it is not that of the service.
pub(super) fn hooks(desk: &mut Desk<'_>, model: &model::Service, own: &ImageRef) -> Hooks {
    let before = model.pre_start.iter().map(|written| HookSpec {
        image: written
            .image
            .as_ref()
            .and_then(|image| desk.image("pre_start", image))
            .filter(|image| image != own),
        per_replica: written.per_replica,
        ..hook(written)
    });
    Hooks {
        pre_start: before.collect(),
        post_start: model.post_start.iter().map(hook).collect(),
        pre_stop: model.pre_stop.iter().map(hook).collect(),
    }
}

fn hook(hook: &model::Hook) -> HookSpec {
    HookSpec {
        command: hook.command.clone(),
        user: hook.user.clone(),
        privileged: hook.privileged,
        working_dir: hook.working_dir.clone(),
        environment: variables(&hook.environment),
        image: None,
        per_replica: false,
    }
}
