//! `attach`: the user's terminal becomes that of a container's first process.

use clap::{ArgAction, Args};
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::cli::terminal::{self, RawTerminal};
use crate::engine::{AttachRequest, Engine};
use crate::plan::Action;
use crate::value::{ContainerName, Signal};

/// Connect input and output to a running container
#[derive(Debug, Args)]
pub(in crate::cli) struct AttachArgs {
    /// The service to connect to
    #[arg(add = complete::service())]
    service: String,

    /// Connect to the replica with this number
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,

    /// Let the container run on and return when these keys are typed
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = parse_keys)]
    detach_keys: Keys,

    /// Do not connect input
    #[arg(long)]
    no_stdin: bool,

    /// Pass signals on to the container
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    sig_proxy: bool,
}

/// The bytes that end the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Keys(Vec<u8>);

impl Keys {
    /// Those that end it unless others are chosen: Ctrl-P, Ctrl-Q.
    pub(in crate::cli) fn usual() -> Self {
        Self(vec![0x10, 0x11])
    }

    pub(in crate::cli) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Connects to a container and returns its exit code, or 0 once the keys to leave it were typed.
pub(in crate::cli) fn attach(
    invocation: &Invocation,
    args: &AttachArgs,
) -> Result<ExitStatus, CommandError> {
    invocation.refuse_rehearsal("attach")?;
    let (engine, target, observed) = invocation.look_and_stay(&[])?;
    let container = select::replica(&target, &observed, &args.service, args.index)?;
    let has_terminal = !args.no_stdin && terminal::is_interactive();
    let code = block_on(async {
        let mut stdio = terminal::own_streams()?;
        if args.no_stdin {
            stdio.stdin = None;
        }
        let request = AttachRequest {
            stdio,
            terminal: if has_terminal {
                Some(terminal::size()?)
            } else {
                None
            },
            detach_keys: args.detach_keys.0.clone(),
        };
        // A container without a terminal gets lines, and Ctrl-C is a signal for it.
        let has_tty = container.spec.to_value().pointer("/process/tty") == Some(&true.into());
        let _terminal = match (has_terminal, has_tty) {
            (true, true) => Some(RawTerminal::enter()?),
            (true, false) => Some(RawTerminal::line_by_line(
                args.detach_keys.0.last().copied(),
            )?),
            (false, _) => None,
        };
        let attached = engine.attach(&container.name, request);
        if args.sig_proxy {
            tokio::select! {
                code = attached => Ok(code?),
                failed = pass_signals_on(engine.as_ref(), &container.name) => Err(failed),
            }
        } else {
            Ok(attached.await?)
        }
    })?;
    Ok(code.map_or(ExitStatus::Done, ExitStatus::of_container))
}

/// Sends the signals that we get to a container, until that fails.
pub(in crate::cli) async fn pass_signals_on(
    engine: &dyn Engine,
    name: &ContainerName,
) -> CommandError {
    match listen() {
        Ok(mut signals) => loop {
            let Some(signal) = signals.next().await else {
                std::future::pending().await
            };
            let action = Action::KillContainer {
                name: name.clone(),
                signal,
            };
            if let Err(error) = engine.perform(&action, &()).await {
                return error.into();
            }
        },
        Err(error) => error,
    }
}

fn listen() -> Result<SelectAll<futures_util::stream::BoxStream<'static, Signal>>, CommandError> {
    let mut signals = SelectAll::new();
    for name in ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"] {
        let number: Signal = name.parse().expect("these are names of signals");
        let arriving = signal(SignalKind::from_raw(number.number()))
            .map_err(|source| CommandError::cannot("listen for signals", source))?;
        let stream = futures_util::stream::unfold(arriving, move |mut arriving| async move {
            arriving.recv().await.map(|()| (number, arriving))
        });
        signals.push(stream.boxed());
    }
    Ok(signals)
}

/// Reads keys such as `ctrl-p,ctrl-q` or `ctrl-@,x`.
fn parse_keys(text: &str) -> Result<Keys, String> {
    let key = |word: &str| match word.as_bytes() {
        [byte] => Some(*byte),
        bytes => match bytes.strip_prefix(b"ctrl-")? {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            [mark @ (b'@' | b'['..=b'_')] => Some(mark - b'@'),
            _ => None,
        },
    };
    let keys = text
        .split(',')
        .map(|word| key(word).ok_or_else(|| format!("`{word}` is no key")));
    keys.collect::<Result<_, _>>().map(Keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_letters_and_control_keys() {
        assert_eq!(parse_keys("ctrl-p,ctrl-q"), Ok(Keys(vec![16, 17])));
        assert_eq!(parse_keys("a,ctrl-@,ctrl-["), Ok(Keys(vec![b'a', 0, 27])));
        parse_keys("ctrl-1").unwrap_err();
        parse_keys("").unwrap_err();
    }
}
