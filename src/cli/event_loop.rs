//! Asynchronous work → its result, on an event loop that exists only while a verb needs one.

use std::io;

use super::error::CommandError;

/// How often it is looked whether the threads of an event loop are gone; each look lets others run.
const THREAD_END_LOOKS: usize = 10_000;

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

/// Does the same, and returns only once this process has a single thread again, as it must have to join a
/// user namespace.
pub(super) fn block_on_and_join<T, E>(
    work: impl Future<Output = Result<T, E>>,
) -> io::Result<Result<T, E>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(work);
    // Joins its threads.
    drop(runtime);
    // The kernel counts a thread for a moment longer than whoever joined it.
    for _ in 0..THREAD_END_LOOKS {
        if std::fs::read_dir("/proc/self/task")?.count() <= 1 {
            break;
        }
        std::thread::yield_now();
    }
    Ok(result)
}
