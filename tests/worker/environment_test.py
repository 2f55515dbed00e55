"""Unusual environment values: very long, with digits of other scripts, or not UTF-8."""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from worker.check import find_problems
from worker.errors import ConfigError
from worker.plan import parse_plan
from worker.settings import Settings, parse
from worker.worker_types import load_table

PATHS = (
    "SYNAPSE_CONFIG_PATH",
    "SYNAPSE_DATA_DIR",
    "SYNAPSE_MEDIA_DIR",
    "SYNAPSE_RUNTIME_DIR",
    "SYNAPSE_UNIX_SOCKETS",
)


def settings(**variables: str) -> Settings:
    """Parse ``variables`` on top of the complete variables of a pusher."""
    base = {"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_REPLICATION_HOST": "main"}
    return parse(base | variables)


def problem_of(**variables: str) -> str:
    """Return the single error line for ``variables``, which must be refused."""
    with pytest.raises(ConfigError) as caught:
        settings(**variables)
    (line,) = caught.value.problems
    assert line.isprintable()
    return line


@pytest.mark.parametrize("name", ["GID", "SYNAPSE_CPU_AFFINITY", "SYNAPSE_WAIT_SECONDS", "UID"])
@pytest.mark.parametrize(
    "value",
    ["9" * 5000, "-" + "9" * 400, "٣", "¹", "1_0", "1e5", " 1", "1 ", "1\n", "0x", "0x1_0", "+1"],
    ids=ascii,
)
def test_a_number_is_made_of_a_few_ascii_digits(name: str, value: str) -> None:
    """Python accepts forms that nobody intends, and is slow or fails on very many digits."""
    line = problem_of(**{name: value})
    assert line.startswith(f"{name}='")
    assert len(line) < 700


@pytest.mark.parametrize("value", ["0x" + "f" * 1025, "0x1" + "0" * 1024, "9" * 1235, "010", "0"])
def test_a_mask_of_more_cpus_than_linux_has_is_refused(value: str) -> None:
    """Some tools set all bits of a mask."""
    assert "is not a CPU mask; use a positive number" in problem_of(SYNAPSE_CPU_AFFINITY=value)


@pytest.mark.parametrize(
    ("value", "cpus"),
    [("0x3", {0, 1}), ("0b101", {0, 2}), ("0o10", {3}), ("5", {0, 2}), ("0x" + "f" * 1024, 4096)],
)
def test_a_mask_is_read_in_any_base(value: str, cpus: object) -> None:
    """Synapse's old setting accepted several bases too."""
    found = settings(SYNAPSE_CPU_AFFINITY=value).cpus
    assert (len(found) if isinstance(cpus, int) else found) == cpus


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("/" + "a" * 256, "has a component of more than 255 bytes; use a shorter one"),
        ("/" + "ä" * 128, "has a component of more than 255 bytes; use a shorter one"),
        ("/aa" * 1400, "is not a path of at most 4095 bytes; use a shorter one"),
        ("/a\0b", "is not a path of at most 4095 bytes; use a shorter one"),
        (os.fsdecode(b"/a\xff"), "is not valid UTF-8; use a path that is"),
    ],
    ids=["part", "bytes", "long", "null", "latin-1"],
)
def test_a_path_that_no_file_can_have_is_refused(name: str, value: str, problem: str) -> None:
    """Synapse would read it from a UTF-8 file and fail with a traceback."""
    line = problem_of(**{name: value})
    assert line.startswith(f"{name}='/")
    assert line.endswith(problem)
    assert len(line) < 700


@pytest.mark.parametrize("value", ["10.0.0.5:9093", "[::1]:9093", "http://a", "1.2.3.4.5"])
def test_a_host_is_refused_in_the_environment_and_in_a_plan(value: str) -> None:
    """Otherwise a second port would be appended to the one in the value."""
    assert problem_of(SYNAPSE_REPLICATION_HOST=value).startswith(
        f"SYNAPSE_REPLICATION_HOST='{value}'"
    )
    with pytest.raises(ConfigError) as caught:
        parse_plan(f"a=pusher@{value}", load_table())
    assert caught.value.problems[0].startswith(f"SYNAPSE_WORKERS: 'a=pusher@{value}': '{value}' ")


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_host_is_rendered_without_brackets(host: str) -> None:
    """Synapse passes the host to Twisted as a name, and brackets would become part of it."""
    assert settings(SYNAPSE_REPLICATION_HOST=host).replication_host == "::1"
    (worker,) = parse_plan(f"a=typing@{host}", load_table())
    assert worker.host == "::1"


@pytest.mark.parametrize("variable", ["SYNAPSE_REPLICATION_HOST", "SYNAPSE_WORKERS"])
def test_an_ipv6_host_is_refused_where_synapse_joins_it_into_a_url(variable: str) -> None:
    """Synapse joins the host into a URL in releases before 1.85."""
    environ = {"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_REPLICATION_HOST": "main"}
    value = "::1" if variable == "SYNAPSE_REPLICATION_HOST" else "a=pusher@::1"
    for version, refused in (("1.84.1", True), ("1.85.0", False)):
        try:
            parse(environ | {variable: value}, replace(load_table(), version=version))
            problems: tuple[str, ...] = ()
        except ConfigError as error:
            problems = error.problems
        assert bool(problems) is refused
        for line in problems:
            assert line.endswith(
                "is an IPv6 address, which Synapse supports for replication since 1.85, but this "
                "is 1.84.1; use a host name"
            )


@pytest.mark.parametrize("name", ["1", "a..b", "x-", "1.2.3.4.5"])
def test_a_name_under_which_nobody_would_be_found_needs_a_host(name: str) -> None:
    """Every resolver reads ``1`` as the address 0.0.0.1."""
    with pytest.raises(ConfigError, match="is also the host of that worker"):
        parse_plan(f"{name}=pusher", load_table())
    (worker,) = parse_plan(f"{name}=pusher@main", load_table())
    assert worker.name == name


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ({"host": "a:9093", "port": 9093}, "instance_map.x.host='a:9093' has a port"),
        (
            {"host": "[::1]", "port": 9093},
            "instance_map.x.host='[::1]' has brackets, which Synapse",
        ),
        ({"path": "/" + "a" * 107}, "instance_map.x: the path of the Unix socket /aaa"),
    ],
)
def test_a_place_in_instance_map_where_nobody_can_be_is_named(
    tmp_path: Path, place: dict[str, object], problem: str
) -> None:
    """Requests to that worker would fail one by one, long after startup."""
    found = find_problems({"instance_map": {"x": place}}, settings(SYNAPSE_DATA_DIR=str(tmp_path)))
    assert [line for line in found if line.startswith(f"homeserver.yaml: {problem}")]


@pytest.mark.parametrize(("length", "fits"), [(80, True), (81, False)])
def test_a_unix_socket_has_a_path_of_at_most_107_bytes(
    tmp_path: Path, length: int, fits: bool
) -> None:
    """The kernel accepts no more; the longest name in the plan has the longest path."""
    folder = Path("/tmp") / ("s" * (length - 5))
    folder.mkdir(exist_ok=True)
    try:
        variables = {
            "SYNAPSE_UNIX_SOCKETS": str(folder),
            "SYNAPSE_WORKERS": "a=pusher, longest99=typing",  # 107 - 80 - len("/.replication.sock")
            "SYNAPSE_WORKER_NAME": "a",
            "SYNAPSE_WORKER": "",
        }
        found = find_problems({}, settings(**variables))
    finally:
        folder.rmdir()
    lines = [line for line in found if "Unix socket" in line]
    assert bool(lines) is not fits
    if lines:
        assert lines[0].startswith(
            f"SYNAPSE_UNIX_SOCKETS={folder}: the path of the Unix socket {folder}/longest"
        )
        assert "has 108 bytes, but at most 107 are possible" in lines[0]


@pytest.mark.parametrize(
    ("variables", "homeserver", "longest"),
    [
        pytest.param(
            {"SYNAPSE_WORKER": "generic_worker", "SYNAPSE_WORKER_NAME": "w" * 20},
            {},
            f"{'w' * 20}.client.sock",
            id="for clients",
        ),
        pytest.param(
            {"SYNAPSE_WORKER": "generic_worker", "SYNAPSE_WORKER_NAME": "w" * 20},
            {"instance_map": {"w" * 20: {"host": "w", "port": 9093}}},
            f"{'w' * 20}.replication.sock",
            id="for those that call it",
        ),
        pytest.param(
            {"SYNAPSE_WORKER": "pusher", "SYNAPSE_WORKER_NAME": "a"},
            {},
            "main.replication.sock",
            id="of the main process",
        ),
        pytest.param(
            {"SYNAPSE_WORKER": "homeserver", "SYNAPSE_WORKERS": f"{'w' * 20}=pusher"},
            {},
            "main.replication.sock",
            id="nobody calls a pusher",
        ),
    ],
)
def test_the_sockets_of_a_process_are_those_that_it_makes_and_calls(
    variables: dict[str, str], homeserver: dict[str, object], longest: str
) -> None:
    """The longest path is the one that counts, and one byte over the limit is refused."""
    found = []
    for size in (107, 108):
        random = 8  # Characters that mkdtemp adds.
        prefix = "s" * (size - len(f"/tmp//{longest}") - random)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
        try:
            chosen = settings(**variables, SYNAPSE_UNIX_SOCKETS=str(folder))
            found += find_problems(homeserver, chosen)[-1:]
        finally:
            folder.rmdir()
    assert found[0]
    assert "Unix socket" not in found[0]
    assert found[1].startswith(
        f"SYNAPSE_UNIX_SOCKETS={folder}: the path of the Unix socket {folder}/{longest} has 108 "
        "bytes"
    )


PLANS = {
    "439 bytes": ", ".join(f"w{n}x=pusher:500" for n in range(10, 34)),
    "3.3 KB": ",".join(f"w{n}x=pusher:500" for n in range(100, 320)),
    "1 MiB of entries": "pusher\n" * 150_000,
    "1 MiB of nonsense": "x," * 500_000,
    "1 MiB of nothing": "," * 1_000_000,
    "one entry of 1 MiB": "+".join(["pusher"] * 150_000),
    "one name of 1 MiB": "a" * 1_000_000 + "=pusher",
    "500 of one name": "\n".join(["a=pusher"] * 500),
    "500 of one singleton": "\n".join(f"a{n}=background_worker" for n in range(500)),
}


@pytest.mark.parametrize("text", PLANS.values(), ids=PLANS)
def test_a_plan_is_refused_in_time_that_grows_with_its_length_alone(text: str) -> None:
    """The limits are applied before the work is done."""
    table = load_table()
    begin = time.process_time()
    try:
        parse_plan(text, table)
        problems: tuple[str, ...] = ()
    except ConfigError as error:
        problems = error.problems
    seconds = time.process_time() - begin
    assert seconds < (0.05 if len(text) < 10_000 else 1)
    assert len(problems) <= 52
    assert all(len(line) < 8000 and line.isprintable() for line in problems)


def test_500_workers_are_planned_and_501_are_refused() -> None:
    """The limit is the same for one entry with a count and for many entries."""
    table = load_table()
    assert len(parse_plan("pusher:500", table)) == 500
    assert len(parse_plan(",".join(f"a{n}=pusher" for n in range(500)), table)) == 500
    for text in ("pusher:500, typing", ",".join(f"a{n}=pusher" for n in range(501))):
        with pytest.raises(ConfigError) as caught:
            parse_plan(text, table)
        assert caught.value.problems == (
            "SYNAPSE_WORKERS has more than 500 workers; plan at most 500",
        )
