//! Asynchronous work → its result, on an event loop that exists only while a verb needs one.

use super::error::CommandError;

/// Runs asynchronous work to its end.
///
/// One thread is enough: what blocks in an engine blocks in threads that the engine asks for, so that a command that
/// only looks starts none.
pub(super) fn block_on<T>(
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| CommandError::cannot("start the event loop", source))?;
    let result = runtime.block_on(work);
    // What still blocks, such as a read from a terminal, is not waited for.
    runtime.shutdown_background();
    result
}
