//! How many peers are served at once: as many as leave the monitor the descriptors of its own.
//!
//! **Invariant:** whoever reaches a published port can use up his own share, and nothing else.

/// Descriptors that no peer gets: the monitor's own, its conversations, records and probes.
const KEPT: u64 = 256;
/// What a connection needs while bytes are under way in both directions: two sockets and two pipes.
const PER_STREAM: u64 = 6;
/// Connections of one container at a time; more wait in the kernel's queue.
const STREAMS_LIMIT: usize = 4096;
/// Clients of one container that send datagrams; the one that was silent the longest makes room.
const SESSIONS_LIMIT: usize = 1024;

/// How many peers there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Connections.
    pub(super) streams: usize,
    /// Clients that send datagrams.
    pub(super) sessions: usize,
}

impl Room {
    /// Shares out `descriptors`: half of those for peers to connections, a quarter to clients that
    /// send datagrams, and the rest to questions for names.
    pub(super) fn within(descriptors: u64) -> Self {
        let shared = descriptors - KEPT.min(descriptors / 2);
        let at_most = |limit: usize, share: u64| {
            usize::try_from(share).map_or(limit, |share| share.clamp(1, limit))
        };
        Self {
            streams: at_most(STREAMS_LIMIT, shared / 2 / PER_STREAM),
            sessions: at_most(SESSIONS_LIMIT, shared / 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_few_descriptors_there_are_peers_never_get_them_all() {
        for descriptors in [64, 256, 1024, 4096, 20_000, 524_288, u64::MAX] {
            let room = Room::within(descriptors);
            let streams = PER_STREAM * room.streams as u64;
            let used = streams + room.sessions as u64;
            assert!(room.streams > 0 && room.sessions > 0, "{room:?}");
            assert!(used <= descriptors / 4 * 3, "{room:?} of {descriptors}");
        }
    }

    #[test]
    fn where_there_are_enough_only_the_named_limits_count() {
        let room = Room::within(524_288);
        assert_eq!((room.streams, room.sessions), (4096, 1024));
    }
}
