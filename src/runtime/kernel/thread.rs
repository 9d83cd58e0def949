//! Work on threads of its own, where the kernel may refuse to make one: that is an error, never a panic.

use std::io;
use std::thread::Builder;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Does blocking work beside the async tasks.
///
/// The pool of the event loop would end the program where its first thread cannot be made.
pub async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let event_loop = Handle::current();
    let (done, result) = oneshot::channel();
    let _thread = Builder::new().spawn(move || {
        let _entered = event_loop.enter();
        // A caller that has stopped waiting does not want it.
        done.send(work()).ok();
    })?;
    result
        .await
        .map_err(|_| io::Error::other("a thread of ours stopped"))
}

/// Does work on a thread that does nothing else, and waits for it: what it changes of its thread ends
/// with it.
pub fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = Builder::new().spawn_scoped(scope, work)?;
        let done = thread.join();
        Ok(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
