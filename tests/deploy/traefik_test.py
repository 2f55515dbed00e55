"""Tests for Traefik's configuration: its rules, evaluated in the order of their priorities."""

import re
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from deploy.options import Options
from deploy.routing import Routing, Server
from deploy.traefik import PARTS, configuration, problems
from tests.deploy.plans import CLIENT, MAIN, READERS, REQUESTS, ROUTING, route


def parsed(routing: Routing = ROUTING, **options: Any) -> dict[str, Any]:
    """Return the configuration as Traefik reads it."""
    document = yaml.safe_load(configuration(routing, Options(**options)))
    assert isinstance(document, dict)
    return document


HTTP = parsed()["http"]


def holds(rule: str, method: str, path: str, query: str, authorization: str) -> bool:
    """Return whether a rule of Traefik holds for a request."""
    parameters = parse_qs(query, keep_blank_values=True)
    headers = {"Authorization": [authorization]} if authorization else {}
    matchers = {
        "Method": lambda value: method == value,
        "PathPrefix": path.startswith,
        "PathRegexp": lambda pattern: bool(re.search(pattern, path)),
        "Query": lambda name, value: value in parameters.get(name, []),
        "QueryRegexp": lambda name, pattern: any(
            re.search(pattern, value) for value in parameters.get(name, [])
        ),
        "HeaderRegexp": lambda name, pattern: any(
            re.search(pattern, value) for value in headers.get(name, [])
        ),
    }
    # Strings first, so that what follows does not change their contents.
    strings: list[str] = []

    def number(match: re.Match[str]) -> str:
        strings.append(match[1])
        return f"S[{len(strings) - 1}]"

    expression = re.sub("`([^`]*)`", number, rule)
    for operator, word in (("&&", " and "), ("||", " or "), ("!", " not ")):
        expression = expression.replace(operator, word)
    return bool(eval(expression.strip(), {"__builtins__": {}, "S": strings, **matchers}))


def router(method: str, path: str, query: str = "", authorization: str = "") -> str:
    """Return the name of the router that gets a request."""
    routers = sorted(HTTP["routers"].items(), key=lambda item: -int(item[1]["priority"]))
    return next(
        str(name) for name, one in routers if holds(one["rule"], method, path, query, authorization)
    )


@pytest.mark.parametrize(("method", "path", "query"), REQUESTS)
def test_requests_take_the_route_of_the_model(method: str, path: str, query: str) -> None:
    """A request at the wrong worker gets an error, or delays others."""
    found = ROUTING.find(method, path, query)

    name = router(method, path, query)

    assert re.sub("-[0-9]+$", "", name) == (found.name if found else "main")


SYNC = "/_matrix/client/v3/sync"


@pytest.mark.parametrize("localpart", ["YWxpY2U", "Ym9i", "ZGF2ZQ", "ZXJpbg", "YQ"])
def test_a_user_keeps_a_worker(localpart: str) -> None:
    """Whichever device, and wherever its client puts the access token."""
    first = f"syt_{localpart}_abcdefghijklmnopqrst_0Xy1Zz"
    second = f"syt_{localpart}_tsrqponmlkjihgfedcba_1Ab2Cd"

    names = {
        router("GET", SYNC, "since=1", f"Bearer {first}"),
        router("GET", SYNC, "since=1", f"Bearer {second}"),
        router("GET", SYNC, f"since=1&access_token={first}"),
        router("GET", SYNC, f"access_token={second}&since=1"),
    }

    assert len(names) == 1
    assert names < {"sync-1", "sync-2", "sync-3"}


def test_keys_are_distributed() -> None:
    """Users, other tokens, rooms and origins each choose among all workers."""
    letters = [chr(code) for code in range(ord("a"), ord("z"))]

    def names(path: str, authorization: str, query: str = "since=1") -> set[str]:
        return {
            router("GET", path.replace("?", letter), query, authorization.replace("?", letter))
            for letter in letters
        }

    assert names(SYNC, "Bearer syt_YW?_abc_0Xy1Zz") == {"sync-1", "sync-2", "sync-3"}
    assert names(SYNC, "Bearer mat_abc?") == {"sync-1", "sync-2", "sync-3"}
    send = "/_matrix/client/v3/rooms/{}?Q:x/send/m.x/1"
    for sigil in ("!", "%21", "%23", ""):
        assert names(send.format(sigil), "") == {"send-1", "send-2"}
    for origin in ("origin=a?.org", 'key="x",origin="a?.org",sig=1', "origin=a?.org:84"):
        found = names("/_matrix/federation/v1/send/1", f"X-Matrix {origin}")
        assert found == {"federation-1", "federation-2"}


def test_a_room_is_the_key_before_the_user() -> None:
    """All events of a room should be sent by one worker."""
    for room in ("AbCd", "bcde", "cdef", "Xyzz"):
        path = f"/_matrix/client/v3/rooms/!{room}:x/send/m.x/1"

        assert len({router("PUT", path, "", f"Bearer x{end}") for end in range(20)}) == 1


def test_neighbours_with_the_same_destination_share_their_routers() -> None:
    """Only if they also have the same key, and main stands in for both or for none."""
    routing = Routing(
        (
            route("one", "^/1", READERS[:2], by="user", initial="since"),
            route("two", "^/2", READERS[:2], by="user"),
            route("three", "^/3", READERS[:2], by="room"),
            route("four", "^/4", READERS[:2], by="room", main=False),
            route("five", "^/5", READERS[:2], by="user"),
        ),
        MAIN,
    )
    routers = parsed(routing)["http"]["routers"]

    assert [name for name in routers if "-" not in name] == ["one", "three", "four", "five", "main"]
    assert routers["one"]["rule"] == (
        "((PathRegexp(`^/1`) && (!QueryRegexp(`since`, `.`) || Query(`full_state`, `true`)))"
        " || PathRegexp(`^/2`))"
    )


def test_timeouts() -> None:
    """A long poll or an upload may take ten minutes; a host that is off is noticed in 5 seconds."""
    timeouts = {"dialTimeout": "5s", "responseHeaderTimeout": "600s"}

    assert [one["forwardingTimeouts"] for one in HTTP["serversTransports"].values()] == [
        timeouts,
        timeouts,
    ]
    assert {one["maxIdleConnsPerHost"] for one in HTTP["serversTransports"].values()} == {-1}
    assert [
        one["transport"]["respondingTimeouts"]["readTimeout"]
        for one in parsed()["entryPoints"].values()
    ] == ["600s", "600s"]


def test_a_request_without_a_key_goes_to_any_worker() -> None:
    """There is nothing to choose by; all such requests at one worker would overload it."""
    assert router("GET", SYNC, "since=1") == "sync"
    assert HTTP["routers"]["sync"]["service"] == "any:sync"
    assert HTTP["services"]["any:sync"] == {
        "weighted": {
            "services": [
                {"name": "reader1>reader2>reader3>main", "weight": 1},
                {"name": "reader2>reader3>reader1>main", "weight": 1},
                {"name": "reader3>reader1>reader2>main", "weight": 1},
            ]
        }
    }


def test_servers_stand_in_for_each_other_and_main_for_all() -> None:
    """The last one has no health check, since Traefik would answer 503 at once when it fails."""
    services = HTTP["services"]
    check = {"path": "/health", "interval": "1s", "timeout": "5s"}

    assert HTTP["routers"]["send-2"]["service"] == "reader2>reader1>main"
    assert services["reader2>reader1>main"] == {
        "failover": {"service": "checked:reader2", "fallback": "reader1>main"}
    }
    assert services["reader1>main"] == {
        "failover": {"service": "checked:reader1", "fallback": "main"}
    }
    assert services["checked:reader1"] == {
        "loadBalancer": {
            "serversTransport": "synapse",
            "servers": [{"url": "http://10.0.0.1:8008"}],
            "healthCheck": check,
        }
    }
    assert services["main"] == {
        "loadBalancer": {"serversTransport": "synapse", "servers": [{"url": "http://main:8008"}]}
    }


def test_requests_that_main_refuses_wait_for_their_worker() -> None:
    """The main process would answer with an error."""
    assert HTTP["routers"]["typing"]["service"] == "typing"
    assert "healthCheck" not in HTTP["services"]["typing"]["loadBalancer"]
    routing = Routing((route("media", "^/m", READERS[:2], main=False),), MAIN)
    services = parsed(routing)["http"]["services"]
    assert services["reader1>reader2"]["failover"]["fallback"] == "reader2"
    assert "healthCheck" not in services["reader2"]["loadBalancer"]


def test_tls_of_a_worker_is_not_verified() -> None:
    """Its certificate has the name of the homeserver, not of the host."""
    server = HTTP["services"]["checked:Fed.1"]["loadBalancer"]

    assert server["servers"] == [{"url": "https://[::1]:8448"}]
    assert HTTP["serversTransports"][server["serversTransport"]]["insecureSkipVerify"] is True
    assert "insecureSkipVerify" not in HTTP["serversTransports"]["synapse"]


def test_every_service_that_is_used_exists() -> None:
    """Traefik disables a router whose service is missing, and answers 404."""
    services = HTTP["services"]
    used = {one["service"] for one in HTTP["routers"].values()}
    for service in services.values():
        used |= set(service.get("failover", {}).values())
        used |= {one["name"] for one in service.get("weighted", {}).get("services", [])}

    assert used == set(services)


@pytest.mark.parametrize(("seconds", "attempts"), [(30, 22), (60, 43), (0, 4)])
def test_time_to_wait(seconds: int, attempts: int) -> None:
    """The pauses grow from one second to two; some are needed until a health check fails."""
    http = parsed(hold_seconds=seconds)["http"]

    assert http["middlewares"]["synapse-hold"] == {
        "retry": {"attempts": attempts, "initialInterval": "1s"}
    }
    assert all(one["middlewares"] == ["synapse-hold"] for one in http["routers"].values())


def test_listeners() -> None:
    """An IPv6 address has brackets before its port."""
    entry_points = parsed(address="::1", client_port=1443, plain_port=1080)["entryPoints"]

    assert {name: one["address"] for name, one in entry_points.items()} == {
        "synapse-client": "[::1]:1443",
        "synapse-federation": "[::1]:8448",
        "synapse-plain": "[::1]:1080",
    }
    assert {name for name, one in entry_points.items() if "tls" in one["http"]} == {
        "synapse-client",
        "synapse-federation",
    }
    assert all(one["http"]["sanitizePath"] is False for one in entry_points.values())
    assert parsed()["entryPoints"]["synapse-client"]["address"] == ":443"
    assert "synapse-plain" not in parsed()["entryPoints"]


def test_certificate() -> None:
    """A path may have an apostrophe, which YAML doubles."""
    tls = parsed(certificate="/it's.crt", key="/k")["tls"]

    assert tls["stores"]["default"]["defaultCertificate"] == {
        "certFile": "/it's.crt",
        "keyFile": "/k",
    }


def test_the_parts_are_the_two_kinds_of_configuration() -> None:
    """An administrator with a static configuration needs only the dynamic one, or the reverse."""
    assert PARTS == ("static", "dynamic")
    assert parsed(include="static").keys() == {"global", "log", "providers", "entryPoints"}
    assert parsed(include="dynamic").keys() == {"http", "tls"}
    assert parsed() == parsed(include="static") | parsed(include="dynamic")


def test_the_file_names_itself() -> None:
    """Traefik reads this file at its start; the file provider then reads its dynamic part."""
    assert parsed()["providers"] == {"file": {"filename": "/etc/traefik/traefik.yml"}}


def test_an_unknown_part_is_refused() -> None:
    """The command line offers `PARTS` alone."""
    with pytest.raises(ValueError, match=r"^'x' is not a part of a Traefik configuration$"):
        configuration(ROUTING, Options(include="x"))


def test_sockets_are_a_problem() -> None:
    """Traefik's servers are URLs with a host."""
    socket = Server("typing", "typing", 8008, socket="/run/typing.sock")
    routing = Routing((route("typing", CLIENT, (socket,)),), MAIN)

    assert problems(ROUTING, Options()) == []
    assert problems(routing, Options()) == [
        "SYNAPSE_UNIX_SOCKETS: Traefik cannot connect to Unix sockets, but typing listen on them; "
        "unset it, or use another proxy"
    ]
