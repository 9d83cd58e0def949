#!/bin/sh
# `redis-server`, or only options or a configuration file for it, runs as the user `redis`.
set -e

case "${1:-}" in
-* | *.conf) set -- redis-server "$@" ;;
esac

if [ "$1" = redis-server ]; then
    # Without a configuration file Debian's build answers to nobody but itself.
    case "$*" in
    *.conf* | *protected-mode*) ;;
    *) set -- "$@" --protected-mode no ;;
    esac
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis '{}' +
        exec setpriv --reuid=redis --regid=redis --clear-groups -- "$@"
    fi
fi
exec "$@"
