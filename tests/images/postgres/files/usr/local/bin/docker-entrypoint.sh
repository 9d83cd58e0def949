#!/bin/bash
# Makes a database cluster on the first start, then runs the server as the user `postgres`.
# Understands POSTGRES_{USER,PASSWORD,DB}, each also as …_FILE, and /docker-entrypoint-initdb.d.
set -euo pipefail

from_file() {
    local name=$1 file="${1}_FILE"
    if [ -n "${!file:-}" ]; then
        export "$name"="$(<"${!file}")"
    fi
}

first_start() {
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "error: the database is uninitialized and POSTGRES_PASSWORD is not set" >&2
        exit 1
    fi
    initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        --auth-local=trust --auth-host=scram-sha-256 >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    # Nobody but this script can reach the server before it is complete.
    pg_ctl start --wait --silent --options="-c listen_addresses=''"
    if [ "$POSTGRES_DB" != postgres ]; then
        psql --username="$POSTGRES_USER" --dbname=postgres --quiet \
            --command="CREATE DATABASE \"$POSTGRES_DB\""
    fi
    for script in /docker-entrypoint-initdb.d/*.sql; do
        [ -e "$script" ] || continue
        psql --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --quiet \
            --set=ON_ERROR_STOP=1 --file="$script"
    done
    pg_ctl stop --wait --silent --mode=fast
}

if [ "${1:-}" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$PGDATA" /var/run/postgresql
        chown -R postgres:postgres "$PGDATA" /var/run/postgresql
        chmod 0700 "$PGDATA"
        exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
    fi
    from_file POSTGRES_USER
    from_file POSTGRES_PASSWORD
    from_file POSTGRES_DB
    POSTGRES_USER=${POSTGRES_USER:-postgres}
    POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
    [ -s "$PGDATA/PG_VERSION" ] || first_start
    unset POSTGRES_PASSWORD
    set -- "$@" -c listen_addresses='*'
fi
exec "$@"
