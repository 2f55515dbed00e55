#!/usr/bin/env bash
# Makes bazelw's private root from Debian packages. bazelw sources this if there is no root yet.
# shellcheck disable=SC2154 # bazelw sets cache, root, packages, bazel_version and bwrap.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The suites that are searched for the Bazel of .bazelversion, in this order. Each is complete by
# itself, unlike backports.
suites=(sid testing stable)

need_tools() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && command -v flock >/dev/null ||
    die "debian mode needs apt-get, dpkg-deb and flock, as Debian has them; elsewhere install Bazelisk for host mode"
  [[ -n ${BAZELW_APT_OPTIONS:-} || -r $keyring ]] ||
    die "$keyring is missing; run: apt-get install debian-archive-keyring"
  [[ -n $DEBIAN_MIRROR ]] ||
    die "no Debian archive in this machine's apt sources; set DEBIAN_MIRROR to the address of a mirror"
}

# Makes apt state in folder $1 that has only suite $2 and no installed packages.
private_apt() {
  # With an incomplete apt.conf, apt would use the machine's own configuration.
  write_private_apt "$@" 2>/dev/null || die "$cache: no space, or it cannot be written"
}

write_private_apt() {
  mkdir -p "$1"/{state/lists/partial,cache/archives/partial,etc/apt.conf.d,etc/preferences.d} && : >"$1/status" &&
    # apt does not copy packages from a file: source, but fetches them from a copy: source.
    (umask 077 && printf 'deb [%s] %s %s main\n' "${BAZELW_APT_OPTIONS:-signed-by=$keyring}" \
      "${DEBIAN_MIRROR/#file:/copy:}" "$2" >"$1/etc/sources.list") &&
    # How this machine reaches its mirrors: proxies, proxy detection, certificates, timeouts.
    machine_apt_settings >"$1/apt.conf" &&
    { [[ ! -r /etc/apt/auth.conf ]] || printf 'Dir::Etc::netrc "/etc/apt/auth.conf";\n' >>"$1/apt.conf"; } &&
    { [[ ! -r /etc/apt/auth.conf.d ]] || printf 'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";\n' >>"$1/apt.conf"; } &&
    cat >>"$1/apt.conf" <<END
Dir::State "$1/state";
Dir::Cache "$1/cache";
Dir::Etc "$1/etc";
Dir::State::status "$1/status";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "3";
END
}

# Prints the most informative line of apt's log $1; for a wrong hash, the line that names the file.
apt_error() {
  without_password "$(
    grep -hE 'Hash Sum mismatch|unexpected size' "$1" | grep -E '^E:' | head -n 1 | grep . ||
      grep -hE '^E:' "$1" | head -n 1 | grep . || grep -hE '^(Err|W):' "$1" | head -n 1 | grep . || tail -n 1 "$1"
  )"
}

# Prints the first line of log $1 with a reason, such as tar's, not dpkg-deb's that tar failed.
first_error() { grep -m 1 -iE 'no space|quota|too large|read-only|denied|cannot' "$1" || tail -n 1 "$1"; }

# Reads the package lists of suite $2 into apt state $1; fails if the archive has no such suite.
read_suite() {
  local log=$1/log
  private_apt "$1" "$2"
  say "fetching package lists of $shown_mirror ($2)"
  APT_CONFIG=$1/apt.conf apt-get -q update >"$log" 2>&1 && ! grep -qE '^(W: Failed|E:)' "$log" && return
  grep -qE '^E: .*does not have a Release file|^(Err|E): .*404 ' "$log" && return 1
  die "package lists of $shown_mirror: $(apt_error "$log")"
}

# Prints the upstream part of Debian version $1, without a suffix such as +ds for removed files.
upstream_version() {
  local version=${1#*:}
  version=${version%-*}
  [[ $version =~ ^(.*)[+~](ds|dfsg|repack)[0-9.]*$ ]] && version=${BASH_REMATCH[1]}
  printf %s "$version"
}

# Sets suite, apt and bazel_package to the first suite that has Bazel $bazel_version.
find_suite() {
  local seen='' version versions
  for suite in "${suites[@]}"; do
    apt=$work/apt-$suite
    versions=
    if ! read_suite "$apt" "$suite"; then
      seen+=", no $suite"
      continue
    fi
    while read -r _ _ version _; do
      bazel_package=$version
      version=$(upstream_version "$version")
      [[ $version == "$bazel_version" ]] && return
      versions+="${versions:+ and }$version"
    done < <(APT_CONFIG=$apt/apt.conf apt-cache madison bazel-bootstrap)
    seen+=", $suite has ${versions:-none}"
  done
  die "no Bazel $bazel_version in $shown_mirror (${seen#, }); install Bazelisk for host mode," \
    "or set DEBIAN_MIRROR to the snapshot of a day that had it (docs/bazelw.md)"
}

# Downloads the packages and their dependencies into $apt/cache/archives.
download() {
  local log=$apt/log package wanted=()
  for package in "${packages[@]}"; do
    [[ $package == bazel-bootstrap ]] && package+="=$bazel_package"
    wanted+=("$package")
  done
  say "fetching packages: ${packages[*]}"
  APT_CONFIG=$apt/apt.conf apt-get -qq --yes --download-only install "${wanted[@]}" >"$log" 2>&1 ||
    die "packages of $shown_mirror: $(apt_error "$log")"
}

# Unpacks every package in $apt/cache/archives into $1 without running any maintainer script.
unpack() {
  local archives=("$apt"/cache/archives/*.deb)
  say "unpacking ${#archives[@]} packages"
  mkdir -p "$1"
  printf '%s\0' "${archives[@]}" |
    xargs -0 -n 1 -P "$(nproc)" sh -c 'dpkg-deb -x "$1" "$0" || exit 255' "$1" >"$apt/log" 2>&1 ||
    die "unpacking into $root: $(first_error "$apt/log")"
  # No file in the root may be setuid or setgid, or be writable by others. File capabilities would
  # be set only by maintainer scripts, as dpkg-deb does not unpack extended attributes.
  find "$1" \( -type f -o -type d \) -perm /6022 -exec chmod ug-s,go-w {} +
}

# Writes the manifest of root $1; every call of bazelw compares its first line.
record() {
  {
    printf 'bazel %s\n' "$bazel_version"
    printf 'package bazel-bootstrap %s\nsuite %s\nmirror %s\narchitecture amd64\n' "$bazel_package" "$suite" "$shown_mirror"
    date -u '+made %Y-%m-%dT%H:%M:%SZ'
    # apt names the files PACKAGE_VERSION_ARCHITECTURE.deb, with %3a for the colon of an epoch.
    (cd "$apt/cache/archives" && sha256sum -- *.deb) |
      sed -E 's/^([0-9a-f]{64}) [ *](.*)_(.*)_(.*)\.deb$/deb \2 \3 \4 \1/; s/%3a/:/g'
  } >"$1/manifest" || die "$cache: no space, or it cannot be written"
}

# Compiles the Python modules of root $1. Nothing can write bytecode there later, so that every start
# of Python would compile the standard library again.
compile_python() {
  [[ -e $1/usr/bin/python3 ]] || return 0
  say "compiling Python modules"
  bind_root=--bind inside "$1" python3 -I -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    /usr/lib/python3* >"$1/compile.log" 2>&1 || die "compiling Python modules: $(head -n 1 "$1/compile.log")"
  rm -f "$1/compile.log"
}

# Does what the maintainer scripts of the few relevant packages would have done.
finish_root() {
  local root=$1 link
  for link in bin lib lib64 sbin; do [[ -e $root/$link ]] || ln -s "usr/$link" "$root/$link"; done
  mkdir -p "$root"/{dev,proc,sys,run,tmp,var/tmp,etc/ssl/certs/java}
  [[ ! -e $root/usr/lib/jvm/default-java ]] || ln -sf ../lib/jvm/default-java/bin/java "$root/usr/bin/java"
  [[ -e $root/usr/bin/awk ]] || ln -s mawk "$root/usr/bin/awk"
  [[ -e $root/usr/bin/cc ]] || ln -s gcc "$root/usr/bin/cc"
  touch "$root"/etc/{resolv.conf,hosts,pip.conf} # Mount points for the host's files.
  printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
  id -u | grep -qx 0 || printf '%s:x:%s:%s::%s:/bin/bash\n' "$(id -un)" "$(id -u)" "$(id -g)" "${HOME:-/}" >>"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
  printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"

  # Proxies that intercept TLS are common, so the machine's CAs are trusted, too.
  local bundle=$root/etc/ssl/certs/ca-certificates.crt
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$bundle" 2>/dev/null || true
  cat /usr/local/share/ca-certificates/*.crt >>"$bundle" 2>/dev/null || true
  cat /etc/ssl/certs/ca-certificates.crt >>"$bundle" 2>/dev/null || true
  [[ -e $root/usr/bin/java ]] || return 0
  say "writing Java's trust store"
  mkdir -p "$root/etc/ssl/certs/each"
  awk -v folder="$root/etc/ssl/certs/each" '
    /BEGIN CERTIFICATE/ { part = $0; next }
    part != "" { part = part "\n" $0 }
    /END CERTIFICATE/ {
      if (!(part in seen)) { seen[part] = 1; file = sprintf("%s/%04d.pem", folder, ++n); print part > file; close(file) }
      part = ""
    }' "$bundle"
  (cd "$root/etc/ssl/certs/each" && printf '+/etc/ssl/certs/each/%s\n' *.pem) |
    bind_root=--bind inside "$root" java -Xmx256m -Dfile.encoding=UTF-8 \
      -jar /usr/share/ca-certificates-java/ca-certificates-java.jar -storepass changeit >"$root/trust.log" 2>&1 ||
    die "Java's trust store: $(head -n 1 "$root/trust.log")"
  rm -rf "$root/etc/ssl/certs/each" "$root/trust.log"
}

fetch_bwrap() {
  # bwrap must be from the host's release, because it uses the host's libraries.
  say "fetching bubblewrap into $cache/bwrap"
  local codename
  codename=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
  [[ -n $codename ]] || die "no bwrap on PATH; run: apt-get install bubblewrap"
  private_apt "$work/host" "$codename"
  APT_CONFIG=$work/host/apt.conf apt-get -q update >"$work/log" 2>&1 &&
    (cd "$work" && APT_CONFIG=$work/host/apt.conf apt-get -qq download bubblewrap >"$work/log" 2>&1) ||
    die "bubblewrap cannot be fetched ($(apt_error "$work/log")); run: apt-get install bubblewrap"
  dpkg-deb -x "$work"/bubblewrap_*.deb "$work/bwrap"
  find "$work/bwrap" -perm /6022 ! -type l -exec chmod ug-s,go-w {} +
  rm -rf "$cache/bwrap"
  mv -T "$work/bwrap" "$cache/bwrap"
  bwrap=$cache/bwrap/usr/bin/bwrap
  "$bwrap" --version >/dev/null 2>&1 || die "$bwrap does not run here; run: apt-get install bubblewrap"
}

check_namespaces() {
  local words
  words=$("$bwrap" --ro-bind / / --unshare-user true 2>&1) && return
  die "user namespaces are not allowed here (${words##*$'\n'}); enable them, for example:" \
    "sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=10000"
}

make_root() {
  local apt suite bazel_package problem mask owner parent=$cache
  need_tools
  # With sudo, HOME may belong to another user; do not make files there that they do not own.
  until [[ -e ${parent:-/} ]]; do parent=${parent%/*}; done
  owner=$(stat -L -c %u -- "${parent:-/}")
  [[ $owner == "$EUID" || $owner == 0 ]] ||
    die "${parent:-/} belongs to user $owner, not to you ($EUID); set XDG_CACHE_HOME to a folder of yours"
  mask=$(umask)
  umask 022 # Otherwise, the user's mask might allow others to write.
  # If Bazel made this folder, its mode would depend on the user's mask.
  problem=$( (umask 077 && mkdir -p "$cache/actions") 2>&1) ||
    die "$cache cannot be created (${problem##*: }); set XDG_CACHE_HOME to a folder of yours"
  check_owner "$cache"
  lock_cache
  # These are left over from interrupted runs, as this run holds the lock.
  find "$cache" -maxdepth 1 -name 'tmp.*' -exec rm -rf {} +
  work=$(mktemp -d "$cache/tmp.XXXXXX" 2>/dev/null) ||
    die "$cache cannot be written; free some space, or set XDG_CACHE_HOME to another folder"
  trap 'rm -rf "$work"' EXIT
  [[ -n $bwrap ]] || fetch_bwrap
  check_namespaces
  if ! root_is_right; then
    say "creating the private root $root (once, about a minute)"
    find_suite
    download
    unpack "$work/root"
    finish_root "$work/root"
    compile_python "$work/root"
    record "$work/root"
    rm -rf "$root"
    mv -T "$work/root" "$root"
  fi
  rm -rf "$work"
  trap - EXIT
  exec 9>&-
  umask "$mask"
}
