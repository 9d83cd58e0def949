//! What a file may ask for and no engine here can give: refused where it changes what runs, noticed
//! where it does not.

use super::desk::Desk;
use crate::compose::model;

pub(super) fn check(desk: &mut Desk<'_>, model: &model::Service) {
    let refused = [
        (
            "provider",
            model.provider.is_some(),
            "no program outside can provide a service yet",
        ),
        (
            "models",
            !model.models.is_empty(),
            "there is nothing here that runs models",
        ),
        (
            "gpus",
            !model.gpus.is_empty(),
            "graphics processors cannot be requested yet",
        ),
        (
            "credential_spec",
            model.credential_spec.is_some(),
            "it is for Windows containers",
        ),
        (
            "external_links",
            !model.external_links.is_empty(),
            "share a network instead",
        ),
        (
            "use_api_socket",
            model.use_api_socket,
            "there is no daemon here and so no socket to talk to it",
        ),
        (
            "runtime",
            model
                .runtime
                .as_deref()
                .is_some_and(|name| !name.is_empty()),
            "containers run on the runtime that is built in",
        ),
        (
            "logging.driver",
            !keeps_logs(model),
            "output is kept by `json-file` or `local`, or dropped by `none`",
        ),
    ];
    for (field, _, reason) in refused.into_iter().filter(|(_, asked, _)| *asked) {
        desk.refuse_support(field, reason);
    }
    notice_ignored(desk, model);
    if let Some(deploy) = &model.deploy {
        check_deploy(desk, deploy);
    }
}

/// Says what of a service changes nothing here.
fn notice_ignored(desk: &mut Desk<'_>, model: &model::Service) {
    let noticed = [
        (
            "isolation",
            model.isolation.is_some(),
            "it is for Windows containers",
        ),
        (
            "cpu_count",
            model.cpu_count != 0,
            "it is for Windows containers; use `cpus`",
        ),
        (
            "cpu_percent",
            model.cpu_percent != 0.0,
            "it is for Windows containers; use `cpus`",
        ),
        (
            "storage_opt",
            !model.storage_opt.is_empty(),
            "there is no storage driver to configure",
        ),
    ];
    for (field, _, reason) in noticed.into_iter().filter(|(_, asked, _)| *asked) {
        desk.notice(field, reason);
    }
}

/// Tells whether the driver of `logging` is one that is here.
fn keeps_logs(model: &model::Service) -> bool {
    let driver = model
        .logging
        .as_ref()
        .and_then(|logging| logging.driver.as_deref());
    matches!(driver, None | Some("" | "json-file" | "local" | "none"))
}

fn check_deploy(desk: &mut Desk<'_>, deploy: &model::Deploy) {
    if deploy
        .mode
        .as_deref()
        .is_some_and(|mode| mode != "replicated")
    {
        desk.notice(
            "deploy.mode",
            "there is one machine, so services are replicated",
        );
    }
    let delayed = |policy: &model::RestartPolicy| policy.delay.is_some() || policy.window.is_some();
    let noticed = [
        (
            "deploy.update_config",
            deploy.update_config.is_some(),
            "containers are replaced in place",
        ),
        (
            "deploy.rollback_config",
            deploy.rollback_config.is_some(),
            "nothing is rolled back yet",
        ),
        (
            "deploy.placement",
            deploy.placement != model::Placement::default(),
            "there is one machine",
        ),
        (
            "deploy.endpoint_mode",
            deploy
                .endpoint_mode
                .as_deref()
                .is_some_and(|mode| mode != "dnsrr"),
            "names resolve to all replicas",
        ),
        (
            "deploy.restart_policy",
            deploy.restart_policy.as_ref().is_some_and(delayed),
            "the pause before a restart grows by itself; `delay` and `window` are not used",
        ),
    ];
    for (field, _, reason) in noticed.into_iter().filter(|(_, asked, _)| *asked) {
        desk.notice(field, reason);
    }
}
