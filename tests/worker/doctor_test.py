"""`doctor` accepts a plan if and only if every process of the plan would start."""

import io
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from testbed.site import PLANNED, make_data
from tests.worker.cases import environs, homeservers
from worker.__main__ import main
from worker.doctor import MAIN
from worker.errors import ConfigError
from worker.plan import PlannedWorker, parse_plan
from worker.worker_types import load_table

TABLE = load_table()
WORKER_TYPES = [name for name, worker_type in TABLE.types.items() if worker_type.many]
# The states that each mounted file can have.
STATES = ("right", "right", "right", "missing", "wrong", "folder", "unreadable")


@dataclass(frozen=True)
class Answer:
    """The exit code of a verb, and its lines on standard error."""

    status: int
    lines: list[str] = field(default_factory=list)


def ask(arguments: list[str], environ: Mapping[str, str]) -> Answer:
    """Run a verb in this process; return its answer."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(arguments, environ)
    return Answer(status, err.getvalue().splitlines())


def ask_each(
    environ: Mapping[str, str], text: str, plan: tuple[PlannedWorker, ...]
) -> dict[str, Answer]:
    """Run `print-config` as each process of ``plan``; return the answers by process name."""
    common = dict(environ) | {"SYNAPSE_WORKERS": text}
    common["SYNAPSE_REPLICATION_HOST"] = common.get("SYNAPSE_REPLICATION_HOST") or "main"
    for name in ("SYNAPSE_WORKER", "SYNAPSE_WORKER_NAME", "SYNAPSE_WORKER_NAME_FROM"):
        common.pop(name, None)
    answers = {MAIN: ask(["print-config"], common | {"SYNAPSE_WORKER": "homeserver"})}
    for worker in plan:
        answers[worker.name] = ask(["print-config"], common | {"SYNAPSE_WORKER_NAME": worker.name})
    return answers


def expected(answers: Mapping[str, Answer]) -> dict[str, list[str]]:
    """Return each line of ``answers``, with the names of the processes that printed it."""
    lines: dict[str, list[str]] = {}
    for name, answer in answers.items():
        for line in dict.fromkeys(answer.lines):
            lines.setdefault(line, []).append(name)
    return lines


def attributed(lines: Mapping[str, list[str]], processes: int) -> set[str]:
    """Return ``lines`` as `doctor` prints them, with the names of at most eight processes."""
    texts = set()
    for line, names in lines.items():
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if names[8:] else "")
        texts.add(f"{line} ({'every process' if len(names) == processes else shown})")
    return texts


@pytest.fixture(scope="module", autouse=True)
def this_process() -> Iterator[None]:
    """Keep privileges and CPUs: where the sandbox maps only root, no other user exists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.examination.drop_rights", lambda _: [])
        patch.setattr(os, "sched_setaffinity", lambda *_: None)
        yield


class Site:
    """A folder with every file and folder that a process may use."""

    def __init__(self, folder: Path) -> None:
        """Create a valid site in ``folder``."""
        self.data = make_data(folder / "data", PLANNED)
        self.secret, self.password = folder / "secret", folder / "password"
        self.media, self.sockets = folder / "media", folder / "sockets"
        self._right = {
            path: path.read_bytes()
            for path in (self.data / name for name in ("signing.key", "tls.crt", "tls.key"))
        }
        self._right[self.secret] = self._right[self.password] = b"a secret\n"
        self.states: dict[str, str] = {}

    def arrange(self, homeserver: Mapping[Any, Any], states: Mapping[str, str]) -> None:
        """Write homeserver.yaml, and put each other file or folder into its state in ``states``."""
        (self.data / "homeserver.yaml").write_text(yaml.safe_dump(dict(homeserver)))
        for path, content in self._right.items():
            self._remove(path)
            state = states[path.name]
            if state == "folder":
                path.mkdir()
            elif state != "missing":
                path.write_bytes(b" \n" if state == "wrong" else content)
                path.chmod(0 if state == "unreadable" else 0o600)
        for path in (self.media, self.sockets):
            self._remove(path)
            if states[path.name] != "missing":
                path.mkdir()
                path.chmod(0o500 if states[path.name] == "unreadable" else 0o700)

    @staticmethod
    def _remove(path: Path) -> None:
        if path.is_dir():
            path.chmod(0o700)
            path.rmdir()
        path.unlink(missing_ok=True)

    def environ(self) -> dict[str, str]:
        """Return the environment variables that name the data and media folders."""
        return {"SYNAPSE_DATA_DIR": str(self.data), "SYNAPSE_MEDIA_DIR": str(self.media)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return one site for all cases, because a certificate takes a second to generate."""
    return Site(tmp_path_factory.mktemp("site"))


FILES = ("signing.key", "tls.crt", "tls.key", "secret", "password", "media", "sockets")
RIGHT = dict.fromkeys(FILES, "right")
PLANS = st.lists(
    st.builds(
        "{}{}{}".format,
        st.lists(st.sampled_from(WORKER_TYPES), min_size=1, max_size=3, unique=True).map("+".join),
        st.sampled_from(["", ":1", ":3"]),
        st.sampled_from(["", "", "", "@[fd00::7]", "@ho st"]),
    ),
    max_size=4,
).map(", ".join)


# No shrinking: it would take minutes, because each case runs several processes.
@settings(max_examples=200, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    plan=PLANS,
    homeserver=st.one_of(st.just(yaml.safe_load(PLANNED)), homeservers()),
    environ=st.one_of(st.just({}), environs()),
    states=st.fixed_dictionaries({name: st.sampled_from(STATES) for name in FILES}),
    used=st.sets(st.sampled_from(["secret", "password", "sockets", "off"])),
)
def test_the_doctor_says_what_each_process_says(
    site: Site,
    plan: str,
    homeserver: dict[Any, Any],
    environ: dict[str, str],
    states: dict[str, str],
    used: set[str],
) -> None:
    """`doctor` prints each line once, with its processes, and returns the highest exit code."""
    site.arrange(homeserver, states)
    environ = environ | site.environ()
    if "secret" in used:
        environ["SYNAPSE_REPLICATION_SECRET_FILE"] = str(site.secret)
    if "password" in used:
        environ["SYNAPSE_DATABASE_PASSWORD_FILE"] = str(site.password)
    if "sockets" in used:
        environ["SYNAPSE_UNIX_SOCKETS"] = str(site.sockets)
    if "off" in used:
        environ["SYNAPSE_FEDERATION_TLS"] = "off"
    try:
        workers = parse_plan(plan, TABLE)
    except ConfigError:
        workers = ()
    answers = ask_each(environ, plan, workers)
    said = ask(["doctor", plan], environ)
    assert said.status == max(answer.status for answer in answers.values())
    assert len(said.lines) == len(set(said.lines))
    assert set(said.lines) == attributed(expected(answers), len(answers))
    SEEN.add(said.status)


SEEN: set[int] = set()


def test_both_answers_were_seen() -> None:
    """Otherwise the test above would have covered only one of the exit codes."""
    assert SEEN == {0, 2}


@pytest.mark.parametrize(
    ("plan", "variables", "names"),
    [
        pytest.param("pusher", {}, "main", id="main alone serves TLS"),
        pytest.param("federation_reader, a=pusher", {}, "main, federation_reader", id="both"),
        pytest.param("federation_inbound", {}, "every process", id="all"),
        pytest.param("generic_worker", {}, "main", id="clients' workers have none"),
        pytest.param("federation_reader", {"SYNAPSE_FEDERATION_TLS": "off"}, "", id="off"),
        pytest.param(
            "federation_reader:12, pusher",
            {},
            "main, " + ", ".join(f"federation_reader{n}" for n in range(1, 8)) + " and 5 more",
            id="many",
        ),
    ],
)
def test_missing_certificates_are_named_with_those_that_need_them(
    site: Site, plan: str, variables: dict[str, str], names: str
) -> None:
    """Per the README, main and federation readers need them, unless a proxy terminates TLS."""
    site.arrange(yaml.safe_load(PLANNED), RIGHT | {"tls.crt": "missing"})
    said = ask(["doctor", plan], site.environ() | variables)
    line = f"error: {site.data}/tls.crt: the TLS certificate is missing; mount it ({names})"
    assert said == (Answer(2, [line]) if names else Answer(0))


def test_a_folder_of_media_is_for_those_that_keep_media(site: Site) -> None:
    """With media workers in the plan, the main process does not serve media."""
    site.arrange(yaml.safe_load(PLANNED), RIGHT | {"media": "missing"})
    line = f"error: {site.media}: uid {os.geteuid()} cannot write media here; mount a folder"
    for plan, names in (("pusher", "main"), ("pusher, media_repository:1", "media_repository1")):
        assert ask(["doctor", plan], site.environ()) == Answer(
            2, [f"{line} that it owns ({names})"]
        )


def test_what_this_container_is_does_not_matter(site: Site) -> None:
    """The images for single worker types set SYNAPSE_WORKER, and they have `doctor` too."""
    site.arrange(yaml.safe_load(PLANNED), RIGHT)
    variables = {"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_WORKER_NAME": "pusher9"}
    variables["SYNAPSE_WORKER_NAME_FROM"] = "hostname"
    assert ask(["doctor", "typing"], site.environ() | variables) == Answer(0)


def test_a_wrong_variable_is_named_once(site: Site) -> None:
    """The line ends with the names of the processes that read the variable."""
    site.arrange(yaml.safe_load(PLANNED), RIGHT)
    variables = {"SYNAPSE_REPLICATION_HOST": "http://main", "SYNAPSE_LOG_LEVEL": "loud"}
    said = ask(["doctor", "typing, pusher"], site.environ() | variables)
    assert [(line.split("=")[0], line.rpartition(" (")[2]) for line in said.lines] == [
        ("error: SYNAPSE_LOG_LEVEL", "every process)"),
        ("error: SYNAPSE_REPLICATION_HOST", "typing, pusher)"),
    ]


def test_a_file_that_nobody_can_do_without_is_named_for_all(site: Site) -> None:
    """Nothing else can be checked without homeserver.yaml."""
    site.arrange(yaml.safe_load(PLANNED), RIGHT)
    (site.data / "homeserver.yaml").unlink()
    said = ask(["doctor", "typing, pusher"], site.environ())
    (line,) = said.lines
    assert line.startswith(f"error: {site.data / 'homeserver.yaml'}: ")
    assert (said.status, line.rpartition(" (")[2]) == (2, "every process)")


def test_a_wrong_plan_is_all_that_is_said_of_it(site: Site) -> None:
    """Its workers are unknown, so only the main process is examined."""
    site.arrange(yaml.safe_load(PLANNED), RIGHT)
    said = ask(["doctor", "typing:2, pusher"], site.environ())
    assert said.status == 2
    (line,) = said.lines
    assert line.startswith(
        "error: SYNAPSE_WORKERS: typing1, typing2 all have the worker type typing"
    )


@pytest.mark.parametrize("state", ["right", "missing"])
def test_the_largest_plan_takes_no_time(site: Site, state: str) -> None:
    """Checks that are the same for every worker run only once."""
    site.arrange(yaml.safe_load(PLANNED) | {"start_pushers": False}, dict.fromkeys(FILES, state))
    begin = time.process_time()
    said = ask(
        ["doctor", "federation_reader:250, media_repository+event_persister:250"],
        {
            **site.environ(),
            "SYNAPSE_REPLICATION_SECRET_FILE": str(site.secret),
            "SYNAPSE_UNIX_SOCKETS": str(site.sockets),
        },
    )
    seconds = time.process_time() - begin
    assert said.status == 2
    assert seconds < 2, seconds
