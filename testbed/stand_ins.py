"""Images that start like the official ones of PostgreSQL, Redis and HAProxy, from Debian packages.

No registry is needed for them.  They are made on a `Machine`, under the names that `Images` has.
"""

from deploy.images import Images
from testbed.machine import Machine

# What the three need of the packages; the machine has the same /usr.
_CONTENTS = (
    "usr/bin/cat",
    "usr/bin/chmod",
    "usr/bin/chown",
    "usr/bin/dash",
    "usr/bin/env",
    "usr/bin/id",
    "usr/bin/pg_*",
    "usr/bin/psql",
    "usr/bin/redis-*",
    "usr/bin/sh",
    "usr/bin/sleep",
    "usr/lib/locale",
    "usr/lib/postgresql",
    "usr/lib/x86_64-linux-gnu/*.so*",
    "usr/lib64",
    "usr/sbin/gosu",
    "usr/sbin/haproxy",
    "usr/share/postgresql",
    "usr/share/zoneinfo",
)
# The official image does this too, and much more (docker-library/postgres, docker-entrypoint.sh):
# root reads the password and prepares the folders, and a user without capabilities does the rest.
# Kubernetes starts it as that user, and with a folder inside the volume.
_POSTGRES = r"""#!/usr/bin/dash
set -eu
data=${PGDATA:-/var/lib/postgresql/data}
if [ -z "${POSTGRES_PASSWORD:-}" ]; then
  POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  export POSTGRES_PASSWORD
fi
if [ "$(id -u)" = 0 ]; then
  chmod 700 $data
  chmod 3775 /run/postgresql
  chown -R 999 $data /run/postgresql
  exec gosu 999:999 "$0" "$@"
fi
if [ ! -e $data/PG_VERSION ]; then
  echo "$POSTGRES_PASSWORD" | initdb -D $data -U "$POSTGRES_USER" --pwfile=/dev/stdin \
    --auth-local=trust --auth-host=scram-sha-256 $POSTGRES_INITDB_ARGS
  echo 'host all all all scram-sha-256' >> $data/pg_hba.conf
  echo "CREATE DATABASE $POSTGRES_USER;" | postgres --single -D $data postgres
fi
exec "$@" -D $data -c listen_addresses='*'
"""
_SCRIPT = r"""
cd /tmp
mkdir -p root/data root/etc root/run/postgresql root/tmp root/usr/local/etc/haproxy
mkdir -p root/var/lib/postgresql/data
printf '%s:/:/bin/sh\n' root:x:0:0: postgres:x:70:70: proxy:x:99:99: service:x:999:999: \
  > root/etc/passwd
cat > root/start
chmod 755 root/start
chown 999:999 root/data root/run/postgresql root/var/lib/postgresql/data
for name in bin lib lib64 sbin; do ln -s usr/$name root/$name; done
ln -s ../run root/var/run
cd /
tar --exclude='*libLLVM*' -c {contents} | tar -C /tmp/root -x
cd /tmp
tar -C root -c . | podman import --quiet \
  --change 'ENV PATH=/usr/lib/postgresql/17/bin:/usr/sbin:/usr/bin' - localhost/services
rm -r root
build() {{ podman build --quiet --tag "$1" --file - .; }}
build {postgres} <<< $'FROM localhost/services\nSTOPSIGNAL SIGINT\n\
ENTRYPOINT ["/start"]\nCMD ["postgres"]'
build {redis} <<< 'FROM localhost/services'
build {haproxy} <<< $'FROM localhost/services\nCMD ["haproxy", "-W", "-db", "-f", \
  "/usr/local/etc/haproxy/haproxy.cfg"]'
"""


def make_stand_ins(machine: Machine) -> None:
    """Make the three images on a machine, in about ten seconds."""
    images = Images()
    (machine.work / "start").write_text(_POSTGRES)
    script = _SCRIPT.format(
        contents=" ".join(_CONTENTS),
        postgres=images.postgres_image,
        redis=images.redis_image,
        haproxy=images.proxy_image,
    )
    machine.run(f"{{ {script} }} < start; rm /srv/start")
