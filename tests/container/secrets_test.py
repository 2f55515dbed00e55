"""No verb shows a secret, even if a message of Synapse's parser or of a service contains it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.image import Image, container, read_image, unpack
from testbed.site import PLANNED, make_mounts

MARK = "hunter2.Marked+Secret"
_VERBS = (
    ["check"],
    ["print-config"],
    ["doctor", "pusher"],
    ["prometheus", "pusher"],
    ["alerts", "pusher"],
    ["dashboard", "pusher"],
    ["wait", "0"],
    ["wait", "1"],
    ["start"],
    ["healthcheck"],
    ["healthcheck", "--ready"],
)
_FEW = 3  # This many documents are used with all verbs, the rest only with ``check``.
# Runs all verbs on the documents in one process, so that Synapse is imported only once.
_PROGRAM = """\
import json, os, sys
sys.path.insert(0, "/usr/lib/synapse-worker")
from pathlib import Path
from worker.__main__ import main
cases = json.loads(Path("/cases/cases.json").read_text())
environ = {**os.environ, "SYNAPSE_CONFIG_PATH": "/cases/homeserver.yaml"}
for number, text in enumerate(cases["documents"]):
    Path("/cases/homeserver.yaml").write_text(text)
    Path("/synapse_runtime/homeserver.yaml").write_text(text)  # What healthcheck reads.
    for verb in cases["verbs"] if number < cases["few"] else cases["verbs"][:1]:
        for stream in (sys.stdout, sys.stderr):
            print(f"== {number} {verb[0]}", file=stream, flush=True)
        if verb[0] == "start":  # It may become Synapse.
            child = os.fork()
            if child == 0:
                os._exit(main(verb, environ))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        else:
            status = main(verb, environ)
        sys.stdout.flush()
        print(f"status {status}", flush=True)
"""


def set_in(document: dict[str, Any], option: str, value: object) -> dict[str, Any]:
    """Return ``document`` with ``option`` set; a name that ends with ``[]`` makes a list."""
    *above, last = option.split(".")
    place: Any = document
    for name in above:
        if name.endswith("[]"):
            place = place.setdefault(name[:-2], [{}])[0]
        else:
            place = place.setdefault(name, {})
    place[last] = value
    return document


# Every secret in Synapse's manual, and settings in which only a third party knows what is secret.
_OPTIONS = """
database.args.password database.args.sslpassword database.args.dsn
email.smtp_pass form_secret http_proxy jwt_config.secret macaroon_secret_key
manhole_settings.password matrix_authentication_service.secret
experimental_features.msc3861.admin_token experimental_features.msc3861.client_secret
media_storage_providers[].config.secret_access_key modules[].config.something
oidc_providers[].client_secret oidc_providers[].client_secret_jwt_key.key
oidc_providers[].user_mapping_provider.config.something
password_config.pepper password_providers[].config.bind_pw recaptcha_private_key redis.password
registration_shared_secret saml2_config.sp_config.key_file_passphrase sentry.dsn signing_key
turn_password turn_shared_secret worker_replication_secret
form_secret_path macaroon_secret_key_path registration_shared_secret_path turn_shared_secret_path
""".split()
# Settings that make Synapse's parser check the section at all.
_SWITCHED_ON: dict[str, dict[str, object]] = {
    "jwt_config": {"enabled": True, "algorithm": 5},
    "matrix_authentication_service": {"enabled": True, "endpoint": 5},
    "manhole_settings": {"username": 5},
    "media_storage_providers[]": {"module": "no.such.Module"},
    "modules[]": {"module": "no.such.Module"},
    "oidc_providers[]": {"idp_id": 5},
    "password_providers[]": {"module": "no.such.Module"},
    "saml2_config": {"sp_config": {"metadata": 5}},
    "experimental_features": {"msc3861": {"enabled": True, "issuer": 5}},
    "email": {"smtp_port": "x", "notif_from": 5},
}


def documents() -> Iterator[str]:
    """Yield each homeserver.yaml: with all options at once, and with each in an invalid section."""
    shapes: list[object] = [MARK, {"value": [MARK]}, f"host=db password={MARK} y"]
    for shape in shapes:
        document = yaml.safe_load(PLANNED)
        for option in _OPTIONS:
            proxy = option == "http_proxy"
            set_in(document, option, f"http://user:{MARK}@proxy:80" if proxy else shape)
        yield yaml.safe_dump(document)
    for option in _OPTIONS:
        section = option.partition(".")[0]
        for shape in [*shapes[:1], [MARK, {"value": f"x://user:{MARK}@host/ y"}]]:
            document = yaml.safe_load(PLANNED)
            for name, value in _SWITCHED_ON.get(section, {}).items():
                set_in(document, f"{section}.{name}", value)
            yield yaml.safe_dump(set_in(document, option, shape))


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Image, Path]]:
    """Yield the image and the folder with its unpacked root and data."""
    folder = tmp_path_factory.mktemp("site")
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    make_mounts(folder, PLANNED)
    (folder / "cases").mkdir()
    yield image, folder
    subprocess.run(["rm", "-rf", folder / "root"], check=True)


def run(image: Image, folder: Path, texts: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the verbs on the documents."""
    cases = {"documents": texts, "few": _FEW, "verbs": _VERBS}
    (folder / "cases/cases.json").write_text(json.dumps(cases))
    mounts = make_mounts(folder) | {"/cases": folder / "cases"}
    environ = {
        "SYNAPSE_FEDERATION_TLS": "off",
        "SYNAPSE_REPLICATION_SECRET": "off",
        "SYNAPSE_WAIT_SECONDS": "1",
        "SYNAPSE_WORKER": "synapse.app.homeserver",
    }
    inside = container(image, folder / "root", mounts, environ)
    command = inside.command("/usr/bin/python3", "-I", "-c", _PROGRAM)
    return subprocess.run(command, text=True, capture_output=True, check=False, timeout=600)


def test_no_verb_shows_a_secret(inside: tuple[Image, Path]) -> None:
    """The output of verbs ends up in bug reports and log collectors."""
    texts = list(documents())
    assert len(texts) > 60
    done = run(*inside, texts)
    assert done.returncode == 0, done.stderr[-2000:]
    for output in (done.stdout, done.stderr):
        parts = re.split(r"(?m)^== (\d+) ([\w-]+)$", output)[1:]
        assert len(parts) == 3 * (_FEW * len(_VERBS) + len(texts) - _FEW)
        for number, verb, said in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            for shown in ("hunter2", "Marked", "Secret"):
                assert shown not in said, (verb, said, texts[int(number)])
            assert "Traceback" not in said, (verb, said, texts[int(number)])
