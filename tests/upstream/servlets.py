"""Which requests each process of an image serves, according to its own Synapse."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.image import Image, container, entrypoint

_PROGRAM = Path(__file__).with_name("list_servlets.py")
SHARED_SECRET = "for tests only"
_WORD = "x1"  # What stands in a sample path for a room, a user, a device and so on.
# Every option without which Synapse does not register some servlet; unknown ones are ignored.
_COMMON: dict[str, Any] = {
    "server_name": "x.test",
    "public_baseurl": "https://x.test/",
    "report_stats": False,
    "macaroon_secret_key": "for tests only",
    "form_secret": "for tests only",
    "registration_shared_secret": SHARED_SECRET,
    "trusted_key_servers": [],
    "suppress_key_server_warning": True,
    "signing_key_path": "/tmp/work/signing.key",
    "media_store_path": "/tmp/work/media",
    "pid_file": "/tmp/work/pid",
    "database": {"name": "sqlite3", "args": {"database": ":memory:"}},
    "redis": {"enabled": True},
    "max_event_delay_duration": "24h",
    "url_preview_enabled": True,
    "url_preview_ip_range_blacklist": ["127.0.0.0/8"],
    "retention": {"enabled": True},
    "enable_registration": True,
    "enable_registration_without_verification": True,
}
_EXPERIMENTAL = (
    *("msc1763", "msc2409_to_device_messages", "msc2654", "msc2666", "msc2716", "msc3266"),
    *("msc3391", "msc3575", "msc3664", "msc3720", "msc3773", "msc3814", "msc3848", "msc3874"),
    *("msc3881", "msc3912", "msc4133", "msc4140", "msc4143", "msc4169", "msc4222", "msc4306"),
    *("msc4354", "msc4370", "msc4446", "msc4450", "msc4491", "msc4502", "msc4512"),
)
_SINGLE_SIGN_ON = {
    "cas_config": {"enabled": True, "server_url": "https://cas.test", "service_url": ""},
    "oidc_providers": [
        {
            "idp_id": "one",
            "idp_name": "One",
            "issuer": "https://one.test/",
            "client_id": "x",
            "client_secret": "for tests only",
            "discover": False,
            "authorization_endpoint": "https://one.test/a",
            "token_endpoint": "https://one.test/t",
            "userinfo_endpoint": "https://one.test/u",
            "jwks_uri": "https://one.test/j",
        }
    ],
}
# Synapse leaves logging in to this service, and drops its own servlets for that.
_DELEGATED = {
    "matrix_authentication_service": {
        "enabled": True,
        "endpoint": "http://127.0.0.1:1/",
        "secret": "for tests only",
    },
    "password_config": {"enabled": False},
    "enable_registration": False,
}


@dataclass(frozen=True, order=True)
class Servlet:
    """A handler of requests.

    Attributes:
        method: the HTTP method.
        prefix: the start of the paths of the resource in which it is registered.
        pattern: the regular expression that the path must match as well.
        name: the name of its class.
    """

    method: str
    prefix: str
    pattern: str
    name: str

    @property
    def paths(self) -> list[str]:
        """Paths that it serves, one for each alternative in the pattern."""
        paths = [path for path in samples(self.pattern) if path.startswith(self.prefix)]
        assert all(self.serves(self.method, path) for path in paths), self
        return paths

    def serves(self, method: str, path: str) -> bool:
        """Return whether it serves a request."""
        return (
            # Synapse answers HEAD wherever it answers GET.
            self.method == ("GET" if method == "HEAD" else method)
            and (path + "/").startswith(self.prefix + "/")
            and bool(re.match(self.pattern, path))
        )


def samples(pattern: str) -> list[str]:
    """Return strings that match a regular expression, one for each of its alternatives.

    It knows the syntax that Synapse uses for paths: groups, ``|``, classes, and ``?``, ``*``, ``+``
    behind a group, a class or a dot.
    """
    texts, end = _alternatives(pattern, 0)
    assert end == len(pattern), pattern
    return sorted(set(texts))


def _alternatives(pattern: str, start: int) -> tuple[list[str], int]:
    """Return samples of the pattern from ``start`` to its end or an unopened ``)``, and where."""
    finished: list[str] = []
    current = [""]
    at = start
    while at < len(pattern) and pattern[at] != ")":
        character = pattern[at]
        if character == "|":
            finished += current
            current = [""]
            at += 1
            continue
        if character == "(":
            opening = re.match(r"\((\?P<\w+>|\?:)?", pattern[at:])
            assert opening is not None
            pieces, at = _alternatives(pattern, at + opening.end())
        elif character == "[":
            pieces, at = [_WORD], pattern.index("]", at)
        elif character == "\\":
            at += 1
            pieces = [_WORD if pattern[at] in "wd" else pattern[at]]
        elif character == "." and pattern[at + 1 : at + 2] in ("*", "+"):
            pieces = [_WORD]
        else:
            pieces = [""] if character in "^$" else [character]
        at += 1
        if pattern[at : at + 1] == "?":
            pieces = [*pieces, ""]
        if pattern[at : at + 1] in ("?", "*", "+"):
            at += 1
        current = [before + piece for before in current for piece in pieces]
    return finished + current, at


def configuration(
    resources: Iterable[tuple[str, ...]], *, media: bool, main: bool
) -> dict[str, Any]:
    """Return the configuration of a process with a listener for each tuple of resources."""
    listeners = [
        {
            "type": "http",
            "port": 10000 + number,
            "bind_addresses": ["127.0.0.1"],
            "tag": "+".join(names),
            "resources": [{"names": list(names)}],
        }
        for number, names in enumerate(resources)
    ]
    configuration = _COMMON | {
        "enable_media_repo": media,
        "experimental_features": {f"{name}_enabled": True for name in _EXPERIMENTAL}
        # On by default before 1.154; not allowed together with msc3814.
        | {"msc2697_enabled": False},
    }
    if main:
        return configuration | {"listeners": listeners}
    return configuration | {
        "worker_app": "synapse.app.generic_worker",
        "worker_name": "worker",
        "worker_listeners": listeners,
        "instance_map": {"main": {"host": "127.0.0.1", "port": 9093}},
    }


def _run(
    image: Image, root: Path, folder: Path, configuration: Mapping[str, Any]
) -> dict[tuple[str, ...], frozenset[Servlet]]:
    """Return the servlets of each listener of the process that ``configuration`` describes."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(configuration))
    (folder / "signing.key").write_text("ed25519 a_1 " + "A" * 43 + "\n")
    inside = container(
        image,
        root,
        {"/tmp/work": folder},
        {"PYTHONDONTWRITEBYTECODE": "1"},
        {"/tmp/list_servlets.py": _PROGRAM.resolve()},
    )
    command = replace(inside, folder="/tmp/work").command(
        entrypoint(image)[0], "/tmp/list_servlets.py", "/tmp/work/config.json"
    )
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        tuple(tag.split("+")): frozenset(Servlet(*row) for row in rows)
        for tag, rows in json.loads(done.stdout).items()
    }


@dataclass(frozen=True)
class Served:
    """What the processes of an image serve.

    Attributes:
        main: the servlets of the main process.
        workers: those of workers, by the resources of their listener, sorted.
    """

    main: frozenset[Servlet]
    workers: Mapping[tuple[str, ...], frozenset[Servlet]]


def served(
    image: Image, root: Path, folder: Path, resources: Sequence[tuple[str, ...]], *, delegated: bool
) -> Served:
    """Return what the processes of an image serve.

    Args:
        image: the image.
        root: the unpacked image.
        folder: a folder for the files of the processes.
        resources: the resources of each kind of worker, sorted.
        delegated: whether Matrix Authentication Service does the logins.
    """
    folder.mkdir()
    extra = _DELEGATED if delegated else _SINGLE_SIGN_ON
    everything = ("client", "federation", "keys", "media")
    main = _run(
        image,
        root,
        folder / "main",
        configuration([everything], media=True, main=True) | extra,
    )[everything]
    workers: dict[tuple[str, ...], frozenset[Servlet]] = {}
    for media in (False, True):
        # All workers of a plan with a media worker, except this, have no media repository.
        some = [names for names in resources if ("media" in names) == media]
        if some:
            workers |= _run(
                image,
                root,
                folder / f"media-{media}",
                configuration(some, media=media, main=False) | extra,
            )
    return Served(main, workers)
