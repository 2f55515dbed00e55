"""The configuration of HAProxy sends each request where the model of the routes sends it."""

from dataclasses import replace

import pytest

from deploy.haproxy import PARTS, configuration, problems
from deploy.options import Options
from deploy.routing import Routing
from tests.deploy.haproxy_config import MAIN, ROUTING, Config, config


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/_matrix/client/v3/sync",
        "/_matrix/client/v3/sync/",
        "/x/_matrix/client/v3/sync",
        "/_matrix/client/unstable/sliding",
        "/_matrix/client/r0/events",
        "/c/rooms/%21a%3Ab/typing/@u",
        "/c/rooms/a/b/send/m.x",
        "/_matrix/f/v1/send/1",
    ],
)
def test_each_request_goes_to_the_route_that_the_model_finds(method: str, path: str) -> None:
    """One wrong pattern, method or order, and a worker gets what it does not serve."""
    read = config()
    for query in (
        "",
        "since=",
        "since=s1",
        "xsince=1",
        "a=1&since=s1",
        "since=s1&full_state=true",
        "since=s1&full_state=truer",
        "pos=1",
        "full_state=true&pos=1",
    ):
        route = ROUTING.find(method, path, query)
        expected = f"synapse_{route.name if route else 'main'}"

        assert read.backend(method, path, query) == expected, query


@pytest.mark.parametrize(
    ("backend", "path", "query", "authorization", "key"),
    [
        pytest.param("sync", "/s", "", "Bearer syt_YWxpY2U_abc_1", "YWxpY2U", id="user"),
        pytest.param("sync", "/s", "access_token=syt_Ym9i_x_1", "", "Ym9i", id="user in query"),
        pytest.param("sync", "/s", "", "Bearer mat_abc", "mat_abc", id="token without a user"),
        pytest.param("sync", "/s", "", "", None, id="no token"),
        pytest.param("sync", "/s", "access_token=b", "Bearer a", "a", id="header first"),
        pytest.param("events", "/e", "", "Bearer syt_a_b_c", "syt_a_b_c", id="whole token"),
        pytest.param("send", "/c/rooms/!r:x/send/m", "", "Bearer t", "!r:x", id="room"),
        pytest.param("send", "/c/rooms/%21r%3Ax/send/m", "", "Bearer t", "!r:x", id="encoded room"),
        pytest.param("send", "/c/join/%23r%3Ax", "", "", "#r:x", id="join"),
        pytest.param("send", "/c/createRoom", "", "Bearer syt_YQ_b_c", "YQ", id="no room"),
        pytest.param(
            "federation", "/f", "", 'X-Matrix origin="a.org",key="k"', "a.org", id="origin"
        ),
        pytest.param(
            "federation", "/f", "", "X-Matrix key=k,origin=a.org,sig=s", "a.org", id="bare"
        ),
        pytest.param("federation", "/f", "", "Bearer t", None, id="no origin"),
        pytest.param("federation", "/f", "access_token=t", "", None, id="no header"),
    ],
)
def test_the_key_of_a_request(
    backend: str, path: str, query: str, authorization: str, key: str | None
) -> None:
    """All devices of a user share the caches of one worker, and all requests for a room."""
    assert config().key(f"synapse_{backend}", path, query, authorization) == key


def test_a_key_is_only_looked_up_where_there_is_a_choice() -> None:
    read = config()

    for route in ROUTING.routes:
        section = f"backend synapse_{route.name}"
        expected = [["hash", "var(txn.key)"]] if len(route.servers) > 1 else []
        assert read.lines(section, "balance") == expected
        assert bool(read.lines(section, "http-request", "set-var(txn.key)")) == bool(expected)


def test_servers_then_main_then_waiting() -> None:
    """A request goes to main only if no worker can be reached, and fails only after the wait."""
    read = config()

    assert read.lines("backend synapse_events", "server") == [
        ["reader1", "10.0.1.1:8008", "weight", "16"],
        ["reader2", "10.0.1.2:8008", "weight", "16"],
        ["reader3", "10.0.1.3:8008", "weight", "16"],
        ["main", "10.0.0.1:8008", "backup"],
        [":wait", "127.0.0.1:1", "backup", "no-check"],
    ]
    assert read.lines("backend synapse_typing", "server") == [
        ["typing", "10.0.2.1:8008"],
        [":wait", "127.0.0.1:1", "backup", "no-check"],
    ]
    assert read.lines("backend synapse_main", "server") == [
        ["main", "10.0.0.1:8008"],
        [":wait", "127.0.0.1:1", "backup", "no-check"],
    ]


def test_a_server_is_left_at_its_first_failure() -> None:
    """Otherwise all retries would be used up on a Unix socket that does not exist."""
    (words,) = config().lines("defaults synapse_defaults", "default-server")

    assert " ".join(words) == (
        "check inter 5s fastinter 1s downinter 1s fall 1 rise 1 "
        "observe layer4 error-limit 1 on-error mark-down"
    )


@pytest.mark.parametrize(
    ("backend", "retries"),
    [("main", "7"), ("typing", "7"), ("initial", "8"), ("events", "10"), ("federation", "8")],
)
def test_there_is_a_retry_for_each_second_and_each_other_server(backend: str, retries: str) -> None:
    assert config(hold_seconds=7).lines(f"backend synapse_{backend}", "retries") == [[retries]]


def test_a_post_is_repeated_only_on_repeatable_routes() -> None:
    """A second createRoom makes a second room."""
    read = config()

    for name, repeatable in [(route.name, route.repeatable) for route in ROUTING.routes] + [
        ("main", False)
    ]:
        rules = read.lines(f"backend synapse_{name}", "http-request", "disable-l7-retry")
        assert rules == ([] if repeatable else [["if", "METH_POST"]]), name


def test_servers_with_tls_are_not_verified() -> None:
    assert config().lines("backend synapse_federation", "server")[:2] == [
        ["fed.1", "10.0.3.1:8448", "ssl", "verify", "none", "no-check-ssl", "weight", "16"],
        ["Fed.1", "[::1]:8448", "ssl", "verify", "none", "no-check-ssl", "weight", "16"],
    ]


def test_unix_sockets() -> None:
    routing = Routing((), replace(MAIN, socket="/run/it's here/main.sock"))

    assert config(routing).lines("backend synapse_main", "server")[0] == [
        "main",
        "unix@/run/it's here/main.sock",
    ]


def test_names_are_resolved_at_run_time_and_need_not_resolve_at_the_start() -> None:
    read = config(Routing((), replace(MAIN, host="synapse_main")))

    assert ["parse-resolv-conf"] in read.sections["resolvers synapse"]
    assert ["hold", "nx", "1d"] in read.sections["resolvers synapse"]
    (words,) = read.lines("defaults synapse_defaults", "default-server")
    assert words[-4:] == ["resolvers", "synapse", "init-addr", "libc,none"]


def test_addresses_need_no_resolver() -> None:
    """HAProxy does not start if it should read a resolv.conf that does not exist."""
    assert "resolv" not in configuration(ROUTING, Options())


def test_the_client_cannot_forge_its_address() -> None:
    rules = config().lines("frontend synapse", "http-request")

    assert ["set-header", "X-Forwarded-For", "%[src]"] in rules
    assert ["set-header", "X-Forwarded-Proto", "https", "if", "{", "ssl_fc", "}"] in rules
    assert ["set-header", "X-Forwarded-Proto", "http", "if", "!{", "ssl_fc", "}"] in rules
    assert ["del-header", "Forwarded"] in rules


@pytest.mark.parametrize("status", ["500", "502", "503", "504"])
def test_errors_are_readable_for_clients_in_browsers(status: str) -> None:
    (words,) = config().lines("defaults synapse_defaults", "http-error", "status", status)

    assert words == [
        *("content-type", "application/json"),
        *("hdr", "Access-Control-Allow-Origin", "*", "hdr", "Cache-Control", "no-store", "string"),
        '{"errcode": "M_UNKNOWN", "error": "The homeserver cannot be reached at the moment"}',
    ]


def test_a_body_above_the_limit_is_refused() -> None:
    words = config(max_body_mib=2).lines("frontend synapse", "http-request", "return")[0]

    assert words[:2] == ["status", "413"]
    assert '{"errcode": "M_TOO_LARGE", "error": "The request has more than 2 MiB"}' in words
    assert words[-6:] == ["if", "{", "req.body_size", "gt", "2097152", "}"]


def test_the_log_has_no_query() -> None:
    (words,) = config().lines("defaults synapse_defaults", "log-format")

    assert words[0].endswith("%HM %HPO")
    assert not set(words[0].split()) & {"%r", "%HU", "%HQ", "%{+Q}r"}


@pytest.mark.parametrize(
    ("options", "binds"),
    [
        pytest.param(
            {"plain_port": 8009},
            [
                ":443 ssl crt /etc/synapse/tls.crt alpn h2,http/1.1",
                ":::443 v6only ssl crt /etc/synapse/tls.crt alpn h2,http/1.1",
                ":8448 ssl crt /etc/synapse/tls.crt alpn h2,http/1.1",
                ":::8448 v6only ssl crt /etc/synapse/tls.crt alpn h2,http/1.1",
                ":8009",
                ":::8009 v6only",
            ],
            id="all addresses",
        ),
        pytest.param(
            {"address": "::1", "client_port": 9443, "federation_port": 9443, "plain_port": 80},
            ["[::1]:9443 ssl crt /etc/synapse/tls.crt alpn h2,http/1.1", "[::1]:80"],
            id="one address",
        ),
        pytest.param(
            {"address": "192.0.2.1", "client_port": 0, "federation_port": 0, "plain_port": 80},
            ["192.0.2.1:80"],
            id="without TLS",
        ),
    ],
)
def test_listeners(options: dict[str, object], binds: list[str]) -> None:
    assert [
        " ".join(words) for words in config(ROUTING, **options).lines("frontend synapse", "bind")
    ] == (binds)


@pytest.mark.parametrize(
    ("key", "argument", "by_extension"),
    [
        pytest.param("/t/a.key", "/t/a.crt", True, id="NAME.crt and NAME.key"),
        pytest.param("/t/a.crt.key", "/t/a.crt", False, id="NAME and NAME.key"),
        pytest.param("/t/a.crt", "/t/a.crt", False, id="one file"),
        pytest.param("/t/b.pem", "@synapse/homeserver", False, id="unrelated names"),
    ],
)
def test_certificate_and_key(key: str, argument: str, by_extension: bool) -> None:
    """HAProxy derives the name of the key from that of the certificate."""
    read = config(certificate="/t/a.crt", key=key)

    assert read.lines("frontend synapse", "bind")[0][3] == argument
    assert (["ssl-load-extra-del-ext"] in read.sections["global"]) == by_extension
    assert read.sections.get("crt-store synapse", []) == (
        [["load", "crt", "/t/a.crt", "key", "/t/b.pem", "alias", "homeserver"]]
        if argument.startswith("@")
        else []
    )


def test_parts_are_what_a_configuration_of_ones_own_lacks() -> None:
    """Together they have all rules and backends, but neither global settings nor listeners."""
    whole = config()
    frontend = Config(
        "frontend synapse\n" + configuration(ROUTING, Options(include="frontend"))
    ).sections["frontend synapse"]
    backends = config(include="backends").sections

    assert PARTS == ("frontend", "backends", "script")
    rest = [words for words in whole.sections["frontend synapse"] if words not in frontend]
    assert {words[0] for words in rest} == {"bind", "no"}
    assert set(whole.sections) - set(backends) == {"global", "frontend synapse"}
    assert all(whole.sections[name] == backends[name] for name in backends)


def test_every_section_has_our_defaults() -> None:
    """A section without them would take those of the administrator's own configuration."""
    for line in configuration(ROUTING, Options()).splitlines():
        if line.startswith(("frontend ", "backend ")):
            assert line.endswith(" from synapse_defaults"), line


def test_no_two_sections_of_proxies_have_one_name() -> None:
    """HAProxy 3.2 warns if defaults have the name of a frontend, and 3.3 refuses it."""
    kinds = ("defaults ", "frontend ", "backend ", "listen ")
    lines = configuration(ROUTING, Options()).splitlines()
    names = [line.split()[1] for line in lines if line.startswith(kinds)]
    assert len(names) > len(ROUTING.routes)
    assert len(set(names)) == len(names)


def test_haproxy_can_express_all_routes() -> None:
    assert problems(ROUTING, Options()) == []
