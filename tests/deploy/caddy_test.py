"""Tests for the Caddyfile, as text; caddy_maps_test.py has those of its maps."""

import re

import pytest

from deploy.caddy import PARTS, configuration, problems
from deploy.options import Options
from deploy.routing import Routing, Server
from tests.deploy.plans import FEDERATION, MAIN, READERS, ROUTING, route

CADDYFILE = configuration(ROUTING, Options())


def handler(name: str) -> str:
    """Return the handler of a route."""
    start = CADDYFILE.index(f"\thandle @synapse_{name} {{\n")
    return CADDYFILE[start : CADDYFILE.index("\n\t}\n", start)]


def test_each_worker_is_the_first_of_its_keys() -> None:
    """The others, and the main process, stand in for it in turn."""
    assert re.findall("import .*", handler("sync")) == [
        "import synapse_proxy 10.0.0.1:8008 10.0.0.2:8008 10.0.0.3:8008 main:8008",
        "import synapse_proxy 10.0.0.2:8008 10.0.0.3:8008 10.0.0.1:8008 main:8008",
        "import synapse_proxy 10.0.0.3:8008 10.0.0.1:8008 10.0.0.2:8008 main:8008",
    ]


def test_requests_that_main_refuses_wait_for_their_worker() -> None:
    """The main process would answer with an error."""
    assert re.findall("import .*", handler("typing")) == ["import synapse_proxy typing:8008"]


def test_main_without_tls_is_asked_after_workers_with_tls() -> None:
    """One reverse_proxy cannot have servers of both kinds: a repeated request would keep TLS."""
    assert re.findall("import .*", handler("federation")) == [
        "import synapse_proxy_tls_fallback fed:8448 [::1]:8448",
        "import synapse_proxy_tls_fallback [::1]:8448 fed:8448",
    ]
    assert (
        "\t\t@synapse_unsent {\n"
        "\t\t\tvars synapse_fallback main\n"
        '\t\t\tvars_regexp {err.message} "^dial |no upstreams"\n'
        "\t\t}\n"
        "\t\thandle @synapse_unsent {\n"
        "\t\t\timport synapse_proxy main:8008\n"
        "\t\t}\n"
    ) in CADDYFILE


def snippet(name: str, options: Options) -> str:
    """Return the snippet of a reverse_proxy."""
    caddyfile = configuration(ROUTING, options)
    start = caddyfile.index(f"({name}) {{\n")
    return caddyfile[start : caddyfile.index("\n}\n", start)]


def test_methods_that_are_repeated() -> None:
    """A POST that was received may not be sent again, unless the route says so."""
    retries = re.compile(r"\t\tlb_retry_match \{\n((?:\t\t\t.*\n)*)")

    assert retries.findall(snippet("synapse_proxy", Options())) == [
        "\t\t\tmethod GET HEAD OPTIONS PUT DELETE\n",
        "\t\t\tmethod POST\n\t\t\tvars synapse_repeat post\n",
    ]
    assert retries.findall(snippet("synapse_proxy_tls_fallback", Options())) == [
        "\t\t\tmethod GET HEAD OPTIONS\n"
    ]


def test_routes_with_the_same_servers_share_their_handlers() -> None:
    """500 workers in 20 routes would be 10,000 handlers, and take Caddy minutes to start."""
    routing = Routing(
        (
            route("one", "^/1", READERS, by="user", repeatable=True),
            route("two", "^/2", READERS, by="room"),
            route("three", "^/3", READERS, main=False),
        ),
        MAIN,
    )
    caddyfile = configuration(routing, Options())

    assert (
        "\tmap {synapse_route} {synapse_servers} {synapse_first} {synapse_repeat} {\n"
        "\t\tone one {synapse_user_of_3} post\n"
        "\t\ttwo one {synapse_room_of_3} no\n"
        "\t\tthree three {synapse_token_of_3} no\n"
        "\t\tdefault main 1 no\n"
        "\t}\n"
    ) in caddyfile
    assert re.findall("@synapse_(.*) vars synapse_servers", caddyfile) == ["one", "three"]


@pytest.mark.parametrize(
    ("seconds", "line"),
    [(30, "lb_try_duration 30s"), (7, "lb_try_duration 7s"), (0, "lb_retries 8")],
)
def test_time_to_wait(seconds: int, line: str) -> None:
    """A request waits while its process is restarted."""
    assert f"\t\t{line}\n" in snippet("synapse_proxy", Options(hold_seconds=seconds))


def test_tls_of_a_worker_is_not_verified() -> None:
    """Its certificate has the name of the homeserver, not of the host."""
    assert "tls_insecure_skip_verify" in snippet("synapse_proxy_tls_fallback", Options())
    assert "tls" not in snippet("synapse_proxy", Options()).partition("\n")[2]


def test_listeners() -> None:
    """The certificate is a path that may have spaces."""
    options = Options(
        address="::1", client_port=1443, plain_port=1080, certificate="/a b.crt", key="/k"
    )

    assert configuration(ROUTING, options).endswith(
        ':1443, :8448 {\n\tbind ::1\n\ttls "/a b.crt" "/k"\n\timport synapse\n}\n'
        "\nhttp://:1080 {\n\tbind ::1\n\timport synapse\n}\n"
    )
    assert CADDYFILE.endswith(
        ':443, :8448 {\n\ttls "/etc/synapse/tls.crt" "/etc/synapse/tls.key"\n\timport synapse\n}\n'
    )


def test_the_snippet_has_neither_global_options_nor_sites() -> None:
    """Only one file of an administrator's own may have global options."""
    snippet_text = configuration(ROUTING, Options(include="snippet"))

    assert PARTS == ("snippet",)
    assert not re.search(r"^(\{|:|http)", snippet_text, re.MULTILINE)
    assert "\n(synapse) {\n" in snippet_text


def test_an_unknown_part_is_refused() -> None:
    """The command line offers `PARTS` alone."""
    with pytest.raises(ValueError, match=r"^'x' is not a part of a Caddyfile$"):
        configuration(ROUTING, Options(include="x"))


def test_limit_of_the_body() -> None:
    """Caddy has no limit of its own."""
    assert "max_size 7MiB" in configuration(ROUTING, Options(max_body_mib=7))


def test_logs_have_no_queries() -> None:
    """A query may contain an access token."""
    assert 'request>uri regexp "\\?.*" ""' in CADDYFILE


def test_sockets() -> None:
    """Caddy writes unix/ before the path."""
    socket = Server("typing", "typing", 8008, socket="/run/typing.sock")
    routing = Routing((route("typing", "^/t", (socket,), main=False),), MAIN)

    assert "import synapse_proxy unix//run/typing.sock\n" in configuration(routing, Options())


def test_many_workers_do_not_list_each_other() -> None:
    """500 orders of 500 workers would be a quarter of a million addresses."""
    workers = tuple(Server(f"w{number}", f"w{number}", 8008) for number in range(500))
    caddyfile = configuration(Routing((route("all", "^/a", workers),), MAIN), Options())

    assert len(caddyfile) < 200_000
    assert (
        "w499:8008 w0:8008 w1:8008 w2:8008 w3:8008 w4:8008 w5:8008 w6:8008 main:8008\n" in caddyfile
    )


def test_no_workers() -> None:
    """Everything goes to the main process."""
    caddyfile = configuration(Routing((), MAIN), Options())

    assert re.findall("import synapse_.*", caddyfile) == ["import synapse_proxy main:8008"]


def test_workers_of_one_route_with_and_without_tls_are_a_problem() -> None:
    """One reverse_proxy cannot have servers of both kinds."""
    mixed = Routing((route("mixed", "^/m", (READERS[0], FEDERATION[0])),), MAIN)

    assert problems(ROUTING, Options()) == []
    assert problems(mixed, Options()) == [
        "SYNAPSE_WORKERS: reader1, fed.1 share the route mixed, but only some of them use TLS; set "
        "SYNAPSE_FEDERATION_TLS=off"
    ]


def test_a_reverse_proxy() -> None:
    """A failed server is tried again soon; Host stays that of the client in Caddy 2.11 too."""
    assert snippet("synapse_proxy", Options()) == (
        "(synapse_proxy) {\n"
        "\treverse_proxy {args[:]} {\n"
        "\t\tlb_policy first\n"
        "\t\tlb_try_duration 30s\n"
        "\t\tlb_try_interval 250ms\n"
        "\t\tfail_duration 2s\n"
        "\t\t# What may be sent again after a connection was lost.\n"
        "\t\tlb_retry_match {\n"
        "\t\t\tmethod GET HEAD OPTIONS PUT DELETE\n"
        "\t\t}\n"
        "\t\tlb_retry_match {\n"
        "\t\t\tmethod POST\n"
        "\t\t\tvars synapse_repeat post\n"
        "\t\t}\n"
        "\t\trequest_buffers 4MiB\n"
        "\t\theader_up Host {hostport}\n"
        "\t\theader_up -X-Real-Ip\n"
        "\t\theader_up -Forwarded\n"
        "\t\ttransport http {\n"
        "\t\t\tdial_timeout 5s\n"
        "\t\t\tresponse_header_timeout 10m\n"
        "\t\t\t# A POST on a connection that was just closed would not be repeated.\n"
        "\t\t\tkeepalive off\n"
        "\t\t}\n"
        "\t}"
    )


def test_errors_are_json_that_browsers_may_read() -> None:
    """Clients in a browser see no answer without Access-Control-Allow-Origin."""
    assert (
        "\t\thandle {\n"
        "\t\t\theader Access-Control-Allow-Origin *\n"
        "\t\t\theader Content-Type application/json\n"
        '\t\t\t@synapse_too_large expression "{err.status_code} == 413"\n'
        "\t\t\trespond @synapse_too_large "
        '`{"errcode": "M_TOO_LARGE", "error": "Request too large"}`\n'
        "\t\t\trespond "
        '`{"errcode": "M_UNKNOWN", "error": "The homeserver cannot be reached"}`\n'
        "\t\t}\n"
    ) in CADDYFILE
