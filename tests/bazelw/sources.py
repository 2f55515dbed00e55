"""A table of machines' apt sources and the archives that must be found in them."""

from dataclasses import dataclass, field

NONE = ("", "")
DEBIAN = "http://deb.test/debian"
SECURITY = "http://deb.test/debian-security"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Machine:
    """The files of a machine, by path below its root, and the archives to be found there.

    ``found`` has the addresses of debian and debian-security. The second is empty if the machine
    names none; it is then derived from the first.
    """

    files: dict[str, str]
    found: tuple[str, str]
    variables: dict[str, str] = field(default_factory=dict)


def one_line(text: str, *found: str, **variables: str) -> Machine:
    """Return a machine that only has a sources.list."""
    archive, security = (*found, "", "")[:2]
    return Machine({"etc/apt/sources.list": text}, (archive, security), variables)


def deb822(text: str, *found: str) -> Machine:
    """Return a machine that only has a debian.sources."""
    archive, security = (*found, "", "")[:2]
    return Machine({"etc/apt/sources.list.d/debian.sources": text}, (archive, security))


def stanza(**fields: str) -> str:
    """Return a deb822 stanza for Debian's archive, with ``fields`` replaced or added."""
    all_fields = {"Types": "deb", "URIs": DEBIAN, "Suites": "trixie", "Components": "main"}
    return "".join(f"{name}: {text}\n" for name, text in (all_fields | fields).items()) + "\n"


_LIST = f"deb {DEBIAN} trixie main\n"
_LISTS = "var/lib/apt/lists"
_RELEASE = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: {}\nSuite: stable\n"
# Another vendor's archive, with an address like those in vendors' own instructions.
_VENDOR = "http://vendor.test/linux/debian"

CASES: dict[str, Machine] = {
    "nothing": Machine({}, NONE),
    "an empty file": one_line("", *NONE),
    "one line each": one_line(
        f"{_LIST}deb {SECURITY} trixie-security main contrib\n", DEBIAN, SECURITY
    ),
    "no security archive": one_line(_LIST, DEBIAN),
    "a security archive under any path": one_line(
        f"{_LIST}deb http://security.test/ buster/updates main\n", DEBIAN, "http://security.test"
    ),
    "commented out": one_line(
        f"#deb {DEBIAN} trixie main\n # deb http://b.test/debian sid main\n", *NONE
    ),
    "a comment behind": one_line(f"deb {DEBIAN} trixie main # contrib\n", DEBIAN),
    "main in a comment only": one_line(f"deb {DEBIAN} trixie contrib # main\n", *NONE),
    "sources alone": one_line(f"deb-src {DEBIAN} trixie main\n", *NONE),
    "sources of another mirror": one_line(
        f"deb-src http://a.test/debian trixie main\n{_LIST}", DEBIAN
    ),
    "options": one_line(
        f"deb [ arch=amd64,arm64 signed-by={KEYRING} ] {DEBIAN} sid main\n", DEBIAN
    ),
    "options without spaces": one_line(f"deb [arch=amd64] {DEBIAN} sid main\n", DEBIAN),
    "another architecture": one_line(
        f"deb [arch=arm64] http://arm.test/debian sid main\ndeb [trusted=yes] {DEBIAN} sid main\n",
        DEBIAN,
    ),
    "tabs and spaces": one_line(f"  deb\t {DEBIAN}\t  trixie \tmain\n", DEBIAN),
    "https": one_line("deb https://deb.test/debian trixie main\n", "https://deb.test/debian"),
    "a port and a longer path": one_line(
        "deb http://deb.test:8080/mirrors/debian/ trixie main\n",
        "http://deb.test:8080/mirrors/debian",
    ),
    "slashes at the end": one_line(f"deb {DEBIAN}/// trixie main\n", DEBIAN),
    "a password": one_line(
        "deb https://me:p%40ss@deb.test/debian trixie main\n", "https://me:p%40ss@deb.test/debian"
    ),
    "a folder": one_line("deb file:/srv/mirror/debian trixie main\n", "file:///srv/mirror/debian"),
    "a folder with three slashes": one_line(
        "deb file:///srv/mirror/debian trixie main\n", "file:///srv/mirror/debian"
    ),
    "a CD": one_line(f"deb cdrom:[Debian 13 main amd64]/ trixie main\n{_LIST}", DEBIAN),
    "a CD alone": one_line("deb cdrom:[Debian 13 _Trixie_ - amd64]/debian trixie main\n", *NONE),
    "ftp": one_line(f"deb ftp://ftp.test/debian trixie main\n{_LIST}", DEBIAN),
    "a flat repository": one_line("deb http://flat.test/debian ./\n", *NONE),
    "without main": one_line("deb http://a.test/debian trixie contrib non-free\n", *NONE),
    "Windows line ends": one_line(f"deb {DEBIAN} trixie main\r\n", DEBIAN),
    "a snapshot": one_line(
        "deb http://snap.test/archive/debian/20260102T030405Z/ sid main\n",
        "http://snap.test/archive/debian/20260102T030405Z",
        "http://snap.test/archive/debian-security/20260102T030405Z",
    ),
    "another distribution": one_line("deb http://deb.test/ubuntu noble main universe\n", *NONE),
    "deb822": deb822(
        stanza(Suites="trixie trixie-updates", URIs=f"{DEBIAN}/")
        + stanza(URIs=SECURITY, Suites="trixie-security"),
        DEBIAN,
        SECURITY,
    ),
    "deb822 commented out": deb822(
        stanza(Types="deb\n# URIs: http://old.test/debian\n#URIs: http://older.test/debian"), DEBIAN
    ),
    "deb822 stanza commented out": deb822("#Types: deb\n#" + stanza().replace("\n", "\n#"), *NONE),
    "deb822 off": deb822(
        stanza(URIs="http://off.test/debian", Enabled="no") + stanza(Enabled="yes"), DEBIAN
    ),
    "deb822 off in other words": deb822(
        stanza(Enabled="False") + stanza(enabled="off") + stanza(Enabled="0"), *NONE
    ),
    "deb822 on more lines": deb822(
        stanza(URIs=f"\n ftp://ftp.test/debian\n# http://no.test/debian\n\t{DEBIAN}"), DEBIAN
    ),
    "deb822 names in any case": deb822(stanza().lower().replace("main", "main"), DEBIAN),
    "deb822 sources alone": deb822(stanza(Types="deb-src"), *NONE),
    "deb822 both types": deb822(stanza(Types="deb-src deb"), DEBIAN),
    "deb822 of another architecture": deb822(
        stanza(URIs="http://arm.test/debian", Architectures="arm64 armhf")
        + stanza(Architectures="arm64 amd64"),
        DEBIAN,
    ),
    "deb822 with two addresses": deb822(stanza(URIs=f"{DEBIAN} http://b.test/debian"), DEBIAN),
    "deb822 without an empty line at the end": deb822(stanza().rstrip(), DEBIAN),
    "both formats": Machine(
        {
            "etc/apt/sources.list": "# moved to debian.sources\n",
            "etc/apt/sources.list.d/debian.sources": stanza(),
        },
        (DEBIAN, ""),
    ),
    "names that apt ignores": Machine(
        {
            "etc/apt/sources.list.d/a.list.save": _LIST,
            "etc/apt/sources.list.d/b.sources.bak": stanza(),
            "etc/apt/sources.list.d/c d.list": _LIST,
            "etc/apt/sources.list.d/e~.list": _LIST,
        },
        NONE,
    ),
    "a list of mirrors": Machine(
        {
            "etc/apt/sources.list.d/debian.sources": stanza(
                URIs="mirror+file:///etc/apt/mirrors/debian.list"
            )
            + stanza(
                URIs="mirror+file:/etc/apt/mirrors/debian-security.list", Suites="trixie-security"
            ),
            "etc/apt/mirrors/debian.list": f"# ours\n{DEBIAN}\tpriority:1\nhttp://b.test/debian\n",
            "etc/apt/mirrors/debian-security.list": f"ftp://a.test/x\n{SECURITY}/\n",
        },
        (DEBIAN, SECURITY),
    ),
    "a list of mirrors that is not there": one_line(
        "deb mirror+file:/etc/apt/none.list trixie main\n", *NONE
    ),
    "a list of mirrors elsewhere": one_line("deb mirror+http://m.test/debian sid main\n", *NONE),
    "a vendor by its component": Machine(
        {
            "etc/apt/sources.list.d/a.list": f"deb {_VENDOR} trixie stable\n",
            "etc/apt/sources.list.d/debian.sources": stanza(),
        },
        (DEBIAN, ""),
    ),
    "a vendor by its key": Machine(
        {
            "etc/apt/sources.list.d/a.list": (
                f"deb [signed-by=/usr/share/keyrings/vendor.gpg] {_VENDOR} trixie main\n"
            ),
            "etc/apt/sources.list.d/b.sources": stanza(
                **{
                    "URIs": "http://other.test/debian",
                    "Signed-By": "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n x",
                }
            ),
            "etc/apt/sources.list.d/debian.sources": stanza(**{"Signed-By": KEYRING}),
        },
        (DEBIAN, ""),
    ),
    "a vendor before a key of Debian's": Machine(
        {
            "etc/apt/sources.list.d/a.list": f"deb {_VENDOR} trixie main\n",
            "etc/apt/sources.list.d/debian.sources": stanza(**{"Signed-By": KEYRING}),
        },
        (DEBIAN, ""),
    ),
    "a vendor by what apt downloaded": Machine(
        {
            "etc/apt/sources.list": f"deb {_VENDOR} trixie main\n{_LIST}",
            f"{_LISTS}/vendor.test_linux_debian_dists_trixie_InRelease": _RELEASE.format("Vendor"),
        },
        (DEBIAN, ""),
    ),
    "Debian under another path, by what apt downloaded": Machine(
        {
            "etc/apt/sources.list": (
                f"deb {_VENDOR} trixie main\ndeb http://me:pw@proxy.test/a_b/~c sid main\n"
            ),
            f"{_LISTS}/proxy.test_a%5fb_%7ec_dists_sid_InRelease": _RELEASE.format("Debian"),
        },
        ("http://me:pw@proxy.test/a_b/~c", ""),
    ),
    "a variable over the file": one_line(
        f"{_LIST}deb {SECURITY} trixie-security main\n",
        "http://mine.test/debian",
        SECURITY,
        DEBIAN_MIRROR="http://mine.test/debian//",
    ),
    "a snapshot by variable": one_line(
        f"{_LIST}deb {SECURITY} trixie-security main\n",
        "http://snap.test/archive/debian/20260102T030405Z",
        "http://snap.test/archive/debian-security/20260102T030405Z",
        DEBIAN_MIRROR="http://snap.test/archive/debian/20260102T030405Z",
    ),
    "both by variable": one_line(
        "",
        "http://a.test/x",
        "http://b.test/y",
        DEBIAN_MIRROR="http://a.test/x/",
        DEBIAN_SECURITY_MIRROR="http://b.test/y/",
    ),
}
