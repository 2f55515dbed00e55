"""Reads a configuration of HAProxy as HAProxy does, as far as the tests need it.

The tests can so compare decisions instead of text.
"""

import re
import shlex
from dataclasses import replace
from urllib.parse import parse_qs, unquote

from deploy.haproxy import configuration
from deploy.options import Options
from deploy.routing import Paths, Route, Routing, Server

MAIN = Server("main", "10.0.0.1", 8008)
READERS = tuple(Server(f"reader{number}", f"10.0.1.{number}", 8008) for number in (1, 2, 3))
TYPING = Server("typing", "10.0.2.1", 8008)
FEDERATION = (Server("fed.1", "10.0.3.1", 8448, tls=True), Server("Fed.1", "::1", 8448, tls=True))
SYNC = "^/_matrix/client/(r0|v3)/sync$"
EVENTS = "^/_matrix/client/(r0|v3)/events$"
SLIDING = "^/_matrix/client/unstable/sliding$"
READ = ("GET", "HEAD")
ROUTING = Routing(
    (
        Route("typing", (Paths("^/c/rooms/.*/typing", ()),), (TYPING,), "token", "", False, False),
        Route("initial", (Paths(SYNC, READ),), READERS[:1], "user", "since", True, False),
        Route("sliding", (Paths(SLIDING, ()),), READERS[:2], "user", "pos", True, True),
        Route("sync", (Paths(SYNC, READ), Paths(SLIDING, ())), READERS, "user", "", True, True),
        Route("events", (Paths(EVENTS, READ),), READERS, "token", "", True, True),
        Route("send", (Paths("^/c/rooms/.*/send", ()),), READERS[:2], "room", "", True, False),
        Route("federation", (Paths("^/_matrix/f/", ()),), FEDERATION, "origin", "", False, True),
    ),
    MAIN,
)


class Config:
    """The sections of a configuration, by their first two words: their lines as lists of words."""

    def __init__(self, text: str) -> None:
        self.sections: dict[str, list[list[str]]] = {}
        lines: list[list[str]] = []
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words and not line.startswith(" "):
                lines = self.sections.setdefault(" ".join(words[:2]), [])
            elif words:
                lines.append(words)

    def lines(self, section: str, *first: str) -> list[list[str]]:
        """Return the rest of the lines of a section that begin with ``first``."""
        return [
            words[len(first) :]
            for words in self.sections[section]
            if tuple(words[: len(first)]) == first
        ]

    def backend(self, method: str, path: str, query: str) -> str:
        """Return the backend that the rules of the frontend choose."""
        truth: dict[str, bool] = {}
        values = {"path": path, "query": query}
        for name, fetch, flag, match, pattern in self.lines("frontend synapse", "acl"):
            assert (flag, match) == ("-m", "reg")
            truth[name] = truth.get(name, False) or bool(re.search(pattern, values[fetch]))
        for backend, word, *conditions in self.lines("frontend synapse", "use_backend"):
            assert word == "if"
            text = " ".join(conditions)
            methods = re.search(r"\{ method (.*?) \}", text)
            names = re.sub(r"\{.*?\}", "", text).split()
            if (not methods or method in methods[1].split()) and all(
                not truth[name[1:]] if name.startswith("!") else truth[name] for name in names
            ):
                return backend
        return self.lines("frontend synapse", "default_backend")[0][0]

    def key(self, backend: str, path: str, query: str, authorization: str) -> str | None:
        """Return the key of a request by which the backend chooses a server."""
        fetched = {
            "path": path,
            "req.fhdr(authorization)": authorization or None,
            "http_auth_bearer": authorization.removeprefix("Bearer ")
            if authorization.startswith("Bearer ")
            else None,
            "url_param(access_token)": parse_qs(query).get("access_token", [None])[0],
            "var(txn.key)": None,
        }
        for expression, *condition in self.lines(
            f"backend {backend}", "http-request", "set-var(txn.key)"
        ):
            if condition:
                word, brace, fetch, *match = condition
                assert word == "if"
                value = fetched[fetch]
                holds = value is not None and (
                    match[:2] == ["-m", "found"] or bool(re.search(match[2], value))
                )
                if holds == (brace == "!{"):
                    continue
            fetch = next(name for name in fetched if expression.startswith(name))
            fetched["var(txn.key)"] = _converted(fetched[fetch], expression.removeprefix(fetch))
        return fetched["var(txn.key)"]


def _converted(value: str | None, converters: str) -> str | None:
    if value is None or not converters:
        return value
    call = re.fullmatch(
        r',regsub\("((?:[^"\\]|\\.)*)","((?:[^"\\]|\\.)*)"\)(,url_dec)?', converters
    )
    assert call is not None, converters
    pattern, replacement = (re.sub(r'\\([\\"])', r"\1", text) for text in call.groups()[:2])
    value = re.sub(pattern, replacement, value, count=1)
    return unquote(value) if call[3] else value


def config(routing: Routing = ROUTING, **options: object) -> Config:
    """Return the configuration of a routing."""
    return Config(configuration(routing, replace(Options(), **options)))  # type: ignore[arg-type]
