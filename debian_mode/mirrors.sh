#!/usr/bin/env bash
# Finds the Debian archives that this machine's apt uses, so that no host is named in this project.
# bazelw sources it, and repositories/machine.bzl runs it if Bazel is called without bazelw.

# Reads apt's source lists in both formats (sources.list(5)) and prints one line per archive,
# "debian ADDRESS" and "debian-security ADDRESS". Other vendors' archives may end in /debian, too,
# so an entry has priority if its Release file or its key shows that it is Debian's.
read -r -d '' _MIRRORS_AWK <<'AWK' || true
function has(list, word) { return index(" " list " ", " " word " ") > 0 }

# Returns the Origin field that apt last downloaded for a suite, or "" if there is none.
function origin_of(uri, suite,   file, line, origin) {
  file = uri
  sub(/^[a-z]+:\/+/, "", file)
  sub(/^[^\/]*@/, "", file)
  file = file "/dists/" suite "/"
  gsub(/_/, "%5f", file)
  gsub(/~/, "%7e", file)
  gsub(/\//, "_", file)
  file = lists "/" file "InRelease"
  origin = ""
  while (origin == "" && (getline line < file) > 0)
    if (line ~ /^Origin: */) { origin = line; sub(/^Origin: */, "", origin) }
  close(file)
  return origin
}

# Returns the first usable address in the list that a mirror+file: address names.
function first_of(uri,   file, line, part) {
  file = uri
  sub(/^mirror\+file:\/*/, machine "/", file)
  part[1] = ""
  while ((getline line < file) > 0)
    if (split(line, part) > 0 && part[1] ~ /^(https?|file):/) break
    else part[1] = ""
  close(file)
  return part[1]
}

function usable(uri) {
  if (uri ~ /^mirror\+file:/) uri = first_of(uri)
  if (uri ~ /^file:\/[^\/]/) sub(/^file:/, "file://", uri)
  sub(/\/+$/, "", uri)
  return uri ~ /^(https?|file):\/\/[^"\\]+$/ ? uri : ""
}

function take(uri, suite, signed,   origin, rank, archive) {
  if ((uri = usable(uri)) == "" || suite ~ /^\.?\//) return
  origin = origin_of(uri, suite)
  if (origin != "") {
    if (origin != "Debian") return
    rank = 3
  } else if (signed != "") {
    if ((" " signed) !~ /[ ,\/]debian[^ ,\/]*\.(asc|gpg|pgp)/) return
    rank = 2
  } else rank = 1
  if (suite ~ /(-security|\/updates)$/) archive = "debian-security"
  else if (rank == 3 || uri ~ /\/debian$/ || uri ~ /\/debian\/[0-9]+T[0-9]+Z$/) archive = "debian"
  else return
  if (rank > best[archive]) { best[archive] = rank; address[archive] = uri }
}

function entry(types, uris, suites, components, architectures, signed,   list, names, i, j, n, m) {
  gsub(/,/, " ", architectures)
  if (!has(types, "deb") || !has(components, "main")) return
  if (architectures != "" && !has(architectures, "amd64")) return
  n = split(uris, list)
  m = split(suites, names)
  for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) take(list[i], names[j], signed)
}

function stanza() {
  if (tolower(field["enabled"]) !~ /^(no|false|without|off|disable|0)$/)
    entry(field["types"], field["uris"], field["suites"], field["components"], field["architectures"], field["signed-by"])
  split("", field)
  name = ""
}

# Reads a line of the form "deb [option=value ...] address suite component...".
function one_line(text,   options, part, i, n, architectures, signed, components, word) {
  if (text !~ /^[ \t]*deb[ \t]/) return
  sub(/#.*/, "", text)
  sub(/^[ \t]*deb[ \t]+/, "", text)
  if (match(text, /^\[[^]]*\]/)) {
    options = substr(text, 2, RLENGTH - 2)
    text = substr(text, RLENGTH + 1)
    n = split(options, part)
    for (i = 1; i <= n; i++) {
      word = part[i]
      if (sub(/^arch=/, "", word)) architectures = word
      else if (sub(/^signed-by=/, "", word)) signed = word
    }
  }
  n = split(text, part)
  for (i = 3; i <= n; i++) components = components " " part[i]
  entry("deb", part[1], part[2], components " ", architectures, signed)
}

{ sub(/\r$/, "") }
FNR == 1 { stanza() }
FILENAME ~ /\.list$/ { one_line($0); next }
/^#/ { next }
/^$/ { stanza(); next }
/^[ \t]/ { if (name != "") { sub(/^[ \t]+/, ""); gsub(/[ \t]+/, " "); field[name] = field[name] " " $0 }; next }
{
  name = tolower(substr($0, 1, index($0, ":") - 1))
  sub(/^[^:]*:[ \t]*/, "")
  gsub(/[ \t]+/, " ")
  sub(/ $/, "")
  field[name] = $0
}
END {
  stanza()
  for (archive in address) print archive, address[archive]
}
AWK

# Prints the archives in the machine's apt sources. Tests set BAZELW_MACHINE to another root folder.
apt_mirrors() {
  local machine=${BAZELW_MACHINE:-} file files=()
  for file in "$machine/etc/apt/sources.list" "$machine"/etc/apt/sources.list.d/*; do
    case ${file##*/} in
      *[!A-Za-z0-9_.-]*) ;; # apt ignores such names, too.
      *.list | *.sources) [[ -f $file && -r $file ]] && files+=("$file") ;;
    esac
  done
  [[ ${#files[@]} == 0 ]] ||
    LC_ALL=C awk -v machine="$machine" -v lists="$machine/var/lib/apt/lists" "$_MIRRORS_AWK" "${files[@]}"
}

# Prints $1 without the users and passwords of the addresses in it.
without_password() { sed -E 's,((://)|^|[[:space:]=])[^/[:space:]]*@,\1,g' <<<"$1"; }

# Exports DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR, after setting those that are unset. Both stay
# empty if apt has no Debian archive. On failure, mirror_problem is set to the error message.
find_mirrors() {
  local archive address security='' given=${DEBIAN_MIRROR:-} name
  local valid='^(https?|file)://([^/@[:space:]]+@)?[^@"\\[:space:]]+$' snapshot='^(.*/)debian(/[0-9]{8}T[0-9]{6}Z)$'
  if [[ -z ${DEBIAN_MIRROR:-} || -z ${DEBIAN_SECURITY_MIRROR:-} ]]; then
    while read -r archive address; do
      if [[ $archive == debian ]]; then : "${DEBIAN_MIRROR:=$address}"; else security=$address; fi
    done < <(apt_mirrors)
  fi
  for name in DEBIAN_MIRROR DEBIAN_SECURITY_MIRROR; do
    address=${!name:-}
    while [[ $address == */ ]]; do address=${address%/}; done
    if [[ -n ${!name:-} && ! $address =~ $valid ]]; then
      # Anything before an @ may be a password.
      mirror_problem="$name=${address##*@}: not the address of a mirror; use http://, https:// or file:// (%40 for an @ in a password)"
      return 1
    fi
    printf -v "$name" %s "$address"
  done
  if [[ -z $DEBIAN_SECURITY_MIRROR && -n $DEBIAN_MIRROR ]]; then
    if [[ $DEBIAN_MIRROR =~ $snapshot && (-n $given || -z $security) ]]; then
      # A snapshot archive has the snapshots of each archive below that archive's name.
      security=${BASH_REMATCH[1]}debian-security${BASH_REMATCH[2]}
    fi
    DEBIAN_SECURITY_MIRROR=${security:-$DEBIAN_MIRROR-security}
  fi
  export DEBIAN_MIRROR DEBIAN_SECURITY_MIRROR
}

# Prints the settings with which this machine's apt reaches its mirrors, as lines of an apt.conf.
machine_apt_settings() {
  apt-config dump 2>/dev/null | grep -iE '^Acquire::(https?::|ForceIPv[46] )' || true
}

# Exports, for Bazel, the proxy that apt uses for DEBIAN_MIRROR: the one for its host, the detected
# one, or the general one, in this order.
export_apt_proxy() {
  local scheme=${DEBIAN_MIRROR%%:*} host proxy='' own='' detect='' detect_old='' every='' variable
  variable=${scheme}_proxy
  [[ $scheme == http* && -z ${!variable:-} ]] && command -v apt-config >/dev/null || return 0
  variable=${variable^^}
  [[ -z ${!variable:-} ]] || return 0
  host=${DEBIAN_MIRROR#*://}
  host=${host%%/*}
  host=${host##*@}
  host=${host%:*}
  eval "$(apt-config shell every Acquire::http::Proxy proxy "Acquire::$scheme::Proxy" \
    own "Acquire::$scheme::Proxy::$host" detect "Acquire::$scheme::Proxy-Auto-Detect" \
    detect_old "Acquire::$scheme::ProxyAutoDetect" 2>/dev/null)"
  detect=${detect:-$detect_old}
  [[ -z $detect ]] || detect=$("$detect" "$scheme://$host" 2>/dev/null | head -n 1) || detect=
  proxy=${own:-${detect:-${proxy:-$every}}}
  [[ $proxy == http* ]] || return 0
  export "${scheme}_proxy=$proxy"
  # The proxy may serve only Debian's hosts, so local addresses do not use it.
  local near=localhost,127.0.0.1,::1
  [[ ${PIP_INDEX_URL:-} =~ ^http://([^/@]*@)?([^/:]+) ]] && near+=,${BASH_REMATCH[2]}
  [[ -n ${no_proxy:-}${NO_PROXY:-} ]] || export no_proxy=$near
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  find_mirrors || { printf '%s\n' "$mirror_problem" >&2 && exit 2; }
  printf 'debian %s\ndebian-security %s\n' "$DEBIAN_MIRROR" "$DEBIAN_SECURITY_MIRROR"
fi
