#!/bin/sh
# Room for the temporary files that Debian's build keeps below /var/lib/nginx and /var/log/nginx.
set -e
mkdir -p /var/log/nginx
exec "$@"
