//! How the heap of this process grows.

/// Lets the heap grow in large steps, and in large pages where the kernel gives them.
///
/// A command that loads a large project touches many megabytes once and ends. Page by page, the kernel
/// would be asked thousands of times, which costs a quarter of the whole. What a small project needs lies
/// in the small pages before the first large one.
///
/// This is about speed alone: where the C library is another one, or the kernel does not want to, nothing
/// happens.
#[cfg(target_env = "gnu")]
pub fn grow_in_large_steps() {
    use nix::libc::{M_MMAP_THRESHOLD, M_TOP_PAD, M_TRIM_THRESHOLD};

    for option in [M_TOP_PAD, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD] {
        // SAFETY: the call takes two numbers and sets one of the allocator's own variables.
        unsafe { nix::libc::mallopt(option, STEP_BYTES) };
    }
    let before = end_of_heap();
    // More than the heap has left: it grows by this and a step.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(
        LARGE_PAGE_BYTES / 2,
    )));
    let first = before.next_multiple_of(LARGE_PAGE_BYTES);
    let bytes = end_of_heap().saturating_sub(first) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES;
    if bytes > 0 {
        let start = std::ptr::with_exposed_provenance_mut(first);
        // SAFETY: advice about pages changes nothing that is in them, and the range is refused unless it is mapped.
        unsafe { nix::libc::madvise(start, bytes, nix::libc::MADV_HUGEPAGE) };
    }
}

/// The same, where the C library has no such options.
#[cfg(not(target_env = "gnu"))]
pub fn grow_in_large_steps() {}

/// By how much the heap grows at least, and how large a block must be to lie outside of it.
#[cfg(target_env = "gnu")]
const STEP_BYTES: i32 = 32 << 20;

/// What most machines call a large page.
#[cfg(target_env = "gnu")]
const LARGE_PAGE_BYTES: usize = 2 << 20;

#[cfg(target_env = "gnu")]
fn end_of_heap() -> usize {
    // SAFETY: an increment of zero only asks where the heap ends.
    let end = unsafe { nix::libc::sbrk(0) };
    end.addr()
}
