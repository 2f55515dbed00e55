"""The maps of the Caddyfile choose the route and the key of a request, by regular expressions."""

import re
from collections.abc import Iterator

import pytest

from deploy.caddy import configuration
from deploy.options import Options
from tests.deploy.plans import REQUESTS, ROUTING

CADDYFILE = configuration(ROUTING, Options())


def maps(caddyfile: str) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Yield each map: its source, its name and its lines; a default matches everything."""
    for source, name, body in re.findall(
        r"^\tmap (\".*\"|\S+) \{(\w+)\} \{\n((?:\t\t.*\n)*)\t\}$", caddyfile, re.MULTILINE
    ):
        lines = []
        for line in body.splitlines():
            entry = re.fullmatch(r'\t\t"~(.*)" (\S+)', line)
            pattern, value = entry.groups() if entry else ("", line.split()[-1])
            lines.append((pattern.replace(r"\"", '"'), value))
        yield source.strip('"'), name, lines


def values(caddyfile: str, **placeholders: str) -> dict[str, str]:
    """Return the placeholders of a request, with those that the maps add."""
    placeholders = {name.replace("__", "."): value for name, value in placeholders.items()}

    def filled(text: str) -> str:
        return re.sub(r"\{([\w.]+)\}", lambda match: placeholders.get(match[1], ""), text)

    for source, name, lines in maps(caddyfile):
        for pattern, value in lines:
            match = re.search(pattern, filled(source))
            if match:
                placeholders[name] = match[1] if value == "${1}" else filled(value)
                break
    return placeholders


def request(method: str, path: str, query: str = "", authorization: str = "") -> dict[str, str]:
    """Return the placeholders of a request."""
    token = re.search("access_token=([^&]*)", query)
    return values(
        CADDYFILE,
        method=method,
        http__request__orig_uri=path + (f"?{query}" if query else ""),
        http__request__uri__query=query,
        http__request__uuid="00000000-0000-4000-8000-0000000000ff",
        header__Authorization=authorization,
        http__request__uri__query__access_token=token[1] if token else "",
    )


@pytest.mark.parametrize(("method", "path", "query"), REQUESTS)
def test_requests_take_the_route_of_the_model(method: str, path: str, query: str) -> None:
    """A request at the wrong worker gets an error, or delays others."""
    found = ROUTING.find(method, path, query)

    assert request(method, path, query)["synapse_route"] == (found.name if found else "main")


@pytest.mark.parametrize(
    ("name", "path", "query", "authorization", "key"),
    [
        pytest.param("user", "/", "", "Bearer syt_YWxpY2U_abc_0Xy1Zz", "2U", id="localpart"),
        pytest.param("user", "/", "access_token=syt_YWxpY2U_x_y", "", "2U", id="in the query"),
        pytest.param("user", "/", "", "Bearer mat_abcdef", "ef", id="another token"),
        pytest.param("user", "/", "", "", "ff", id="no token"),
        pytest.param("token", "/", "", "Bearer syt_YWxpY2U_abc_0Xy1Zz", "Zz", id="token"),
        pytest.param("room", "/v3/rooms/!Abc:x/send", "", "", "Ab", id="room"),
        pytest.param("room", "/v3/join/%23room%3Ax", "", "", "ro", id="alias"),
        pytest.param("room", "/v3/x", "", "Bearer mat_abcdef", "ef", id="no room"),
        pytest.param("origin", "/", "", 'X-Matrix key="a",origin="kde.org"', "de", id="origin"),
        pytest.param("origin", "/", "", "X-Matrix origin=a.kde.org:8448,sig=1", "de", id="a port"),
        pytest.param("origin", "/", "", "Bearer x", "ff", id="no origin"),
    ],
)
def test_keys(name: str, path: str, query: str, authorization: str, key: str) -> None:
    """All requests with one key must reach the same worker, whose caches know it."""
    assert request("GET", path, query, authorization)[f"synapse_by_{name}"] == key
