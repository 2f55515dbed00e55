"""Fuzz tests of the environment and of homeserver.yaml, structured and as raw bytes."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from testbed.site import WORKERS
from tests.worker.cases import environs, homeservers, wild_environs
from tests.worker.fuzzing import SECRET, Tally, answer, many, site
from tests.worker.yaml_cases import yaml_bytes

_PUSHER = {"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_REPLICATION_HOST": "main"}
_SECRETS = ("registration_shared_secret", "macaroon_secret_key", "form_secret")


def test_any_environment(folder: Path, tally: Tally) -> None:
    """The operator sets every variable, and any of them may contain a secret by mistake."""
    mounted = site(folder)
    (folder / "data/homeserver.yaml").write_text(WORKERS)

    @many()
    @given(
        environ=wild_environs(), verb=st.sampled_from(["print-config", "start", "wait", "generate"])
    )
    def check(environ: dict[str, str], verb: str) -> None:
        # Waiting for missing services is tested elsewhere; here it would take up all the time.
        environ = mounted | environ | {"SYNAPSE_WAIT_SECONDS": "0"}
        arguments = [verb, "0"] if verb == "wait" else [verb]
        status, out, _ = answer(arguments, environ, tally)
        if status == 0 and verb == "print-config":
            assert all(isinstance(part, dict) for part in yaml.safe_load_all(out))

    check()
    tally.must_have_seen(0, 2)


def test_any_settings(folder: Path, tally: Tally) -> None:
    """Nearly valid documents are tried in nearly valid environments."""
    mounted = site(folder)

    @many()
    @given(homeserver=homeservers(), environ=environs())
    def check(homeserver: dict[Any, Any], environ: dict[str, str]) -> None:
        homeserver = homeserver | dict.fromkeys(_SECRETS, SECRET)
        text = yaml.dump(homeserver, Dumper=yaml.CSafeDumper, allow_unicode=True)
        (folder / "data/homeserver.yaml").write_text(text)
        status, out, _ = answer(["print-config"], mounted | environ, tally, planted=True)
        if status == 0:
            parts = yaml.load_all(out, Loader=yaml.CSafeLoader)
            assert all(isinstance(part, dict) for part in parts)

    check()
    tally.must_have_seen(0, 2)


def test_any_yaml(folder: Path, tally: Tally) -> None:
    """Text with any YAML syntax is tried on its own and after valid settings."""
    mounted = site(folder)

    @many()
    @given(data=yaml_bytes(), behind=st.booleans())
    def check(data: bytes, behind: bool) -> None:
        whole = WORKERS.encode() + data if behind else data
        (folder / "data/homeserver.yaml").write_bytes(whole)
        answer(["print-config"], mounted | _PUSHER, tally)

    check()
    tally.must_have_seen(0, 2)


def test_any_bytes(folder: Path, tally: Tally) -> None:
    """The file may be truncated, overwritten, or something other than its name says."""
    mounted = site(folder)
    valid = WORKERS.encode()

    @many()
    @given(data=st.binary(max_size=200), place=st.integers(0, len(valid)), inside=st.booleans())
    def check(data: bytes, place: int, inside: bool) -> None:
        whole = valid[:place] + data + valid[place:] if inside else data
        (folder / "data/homeserver.yaml").write_bytes(whole)
        answer(["print-config"], mounted | _PUSHER, tally)

    check()
    tally.must_have_seen(0, 2)
