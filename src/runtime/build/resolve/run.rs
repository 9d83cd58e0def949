//! `RUN`.

use crate::runtime::build::dockerfile::ast::{Command, Heredoc, Lines, Run as Written};
use crate::runtime::build::dockerfile::{Mistake, is_heredoc, without_leading_tabs};
use crate::runtime::build::graph::{Network, Operation, Run, RunHeredoc, Security};

use super::mount;
use super::stage::{Interpreter, Outcome};

const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

impl Interpreter<'_> {
    pub(super) fn run(&mut self, written: &Written, lines: Lines) -> Result<Outcome, Mistake> {
        if !written.devices.is_empty() {
            return Err(Mistake::new(
                "RUN --device is not supported: there are no CDI devices here",
            ));
        }
        let network = network(written.network.as_deref())?;
        let security = security(written.security.as_deref())?;
        let mut mounts = Vec::new();
        for text in &written.mounts {
            let fields = mount::Fields::read(text, &mut |value| self.expand(value, lines))?;
            let ssh_before = mount::count_ssh(&mounts);
            mounts.push(fields.into_mount(self, ssh_before)?);
        }
        let (args, heredoc) = self.args(written)?;
        let shown: Vec<String> = self
            .state
            .args_for_history()
            .into_iter()
            .chain(args.iter().cloned())
            .collect();
        let history = format!("RUN {} # buildkit", shown.join(" "));
        let operation = Operation::Run(Box::new(Run {
            args,
            heredoc,
            env: self.state.scope.environment(),
            proxy_env: self.proxies(),
            workdir: self.state.folder.clone(),
            user: self.state.user.clone(),
            mounts,
            network,
            security,
        }));
        Ok(Outcome::files(history, operation))
    }

    /// The words to run, and the file that holds a script with `#!`.
    fn args(&self, written: &Written) -> Result<(Vec<String>, Option<RunHeredoc>), Mistake> {
        let line = match &written.command {
            Command::Exec(words) if words.is_empty() => {
                return Err(Mistake::new("arguments are required"));
            }
            Command::Exec(words) => return Ok((words.clone(), None)),
            Command::Shell(line) => line,
        };
        let (line, file) = match written.heredocs.as_slice() {
            [] => (line.clone(), None),
            [first, ..] if is_heredoc(line) => whole_script(first),
            heredocs => {
                let bodies = heredocs.iter();
                let bodies = bodies.map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name));
                (format!("{line}{}", bodies.collect::<String>()), None)
            }
        };
        let mut args = self.state.shell();
        args.push(line);
        Ok((args, file))
    }

    fn proxies(&self) -> Vec<String> {
        let given = |name: &str| self.request.args.get(name);
        let pairs = PROXIES.iter().filter_map(|name| {
            let lower = name.to_lowercase();
            let value = given(name).or_else(|| given(&lower))?;
            (!value.is_empty()).then(|| [format!("{name}={value}"), format!("{lower}={value}")])
        });
        pairs.flatten().collect()
    }
}

/// A command that is nothing but a heredoc: the shell gets its text, or runs it by its `#!`.
fn whole_script(heredoc: &Heredoc) -> (String, Option<RunHeredoc>) {
    let content = if heredoc.chomp {
        without_leading_tabs(&heredoc.content)
    } else {
        heredoc.content.clone()
    };
    if !content.starts_with("#!") {
        return (content, None);
    }
    let path = format!("/dev/pipes/{}", heredoc.name.replace('/', "_"));
    (path.clone(), Some(RunHeredoc { path, content }))
}

fn network(written: Option<&str>) -> Result<Network, Mistake> {
    match written {
        None | Some("default") => Ok(Network::Default),
        Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(other) => Err(Mistake::new(format!("invalid network mode {other:?}"))
            .with_hint(Some("known: default, none, host".to_owned()))),
    }
}

fn security(written: Option<&str>) -> Result<Security, Mistake> {
    match written {
        None | Some("sandbox") => Ok(Security::Sandbox),
        Some("insecure") => Ok(Security::Insecure),
        Some(other) => Err(Mistake::new(format!("security {other:?} is not valid"))
            .with_hint(Some("known: sandbox, insecure".to_owned()))),
    }
}
