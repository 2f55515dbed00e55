"""The verb that prints objects for Kubernetes: its output and its messages."""

import io
import tarfile
from collections.abc import Mapping

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.fuzzing import Tally, answer, many
from worker.__main__ import main

DIGEST = "--image=quay.io/example/synapse@sha256:" + "0" * 64
DOMAIN = "is not a domain name in lower case; use one, such as matrix.example.com"


def run(
    capsys: pytest.CaptureFixture[bytes], *arguments: str, environ: Mapping[str, str] = {}
) -> tuple[int, bytes, list[str]]:
    """Run the verb; return its exit code, its output, and the messages."""
    code = main(["kubernetes", *arguments], environ)
    printed = capsys.readouterr()
    return code, printed.out, printed.err.decode().splitlines()


def test_an_archive_is_printed(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """It has a file for each worker, a kustomization and a chart, and depends on nothing else."""
    code, output, messages = run(capsysbinary, "event_persister1=event_persister", DIGEST)
    assert (code, messages) == (0, [])
    with tarfile.open(fileobj=io.BytesIO(output)) as tar:
        names = tar.getnames()
        assert {(one.mtime, one.uid, one.gid, one.mode) for one in tar} == {(0, 0, 0, 0o644)}
    assert {
        "base/workers/event-persister1.yaml",
        "base/kustomization.yaml",
        "chart/Chart.yaml",
        "kustomization.yaml",
    } < set(names)
    assert run(capsysbinary, "event_persister1=event_persister", DIGEST)[1] == output


def test_one_pod_can_have_all_processes(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """There are no objects of workers."""
    code, output, messages = run(capsysbinary, "pusher_1=pusher", "--one-container", DIGEST)
    assert (code, messages) == (0, [])
    with tarfile.open(fileobj=io.BytesIO(output)) as tar:
        names = tar.getnames()
        file = tar.extractfile("base/proxy.yaml")
        assert file
        proxy = file.read().decode()
    assert "base/main.yaml" in names
    assert not any("worker" in name for name in names)
    assert "'main.synapse.svc.cluster.local:8008'" in proxy


def test_options_become_part_of_the_objects(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """They are checked together, since the objects refer to each other."""
    code, output, messages = run(
        capsysbinary,
        "typing",
        DIGEST,
        "--namespace=matrix",
        "--ingress=gateway",
        "--gateway=infra/web",
        "--domain=matrix.example.com",
        "--cluster-domain=k8s.example",
        "--scraper-namespace=metrics",
        "--monitoring",
        environ={"SYNAPSE_LOG_FORMAT": "json"},
    )
    assert (code, messages) == (0, [])
    with tarfile.open(fileobj=io.BytesIO(output)) as tar:
        files = {one.name: tar.extractfile(one) for one in tar}
        texts = {name: file.read().decode() for name, file in files.items() if file}
    route = yaml.safe_load(texts["components/gateway/gateway.yaml"])
    assert route["spec"]["parentRefs"] == [{"name": "web", "namespace": "infra"}]
    assert route["spec"]["hostnames"] == ["matrix.example.com"]
    assert "components/ingress/ingress.yaml" not in texts
    assert "'typing-0.typing.matrix.svc.k8s.example:8008'" in texts["base/proxy.yaml"]
    assert "kubernetes.io/metadata.name: metrics" in texts["base/network.yaml"]
    assert "SYNAPSE_LOG_FORMAT\n              value: json" in texts["base/main.yaml"]
    assert "components/monitoring" in texts["kustomization.yaml"]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        *(
            (
                ["typing", f"--domain={domain}", "--ingress=ingress"],
                [f"--domain={domain!r} {DOMAIN}"],
            )
            for domain in ("", "a..b", "-a.b", "a_b.c", "A.b", "10.0.0.1", "http://a.b", "a b", "ä")
        ),
        (
            ["typing", "--domain=a.b"],
            ["--domain='a.b' is only for --ingress=ingress or --ingress=gateway; add one of them"],
        ),
        (
            ["typing", "--ingress=ingress"],
            ["--ingress=ingress needs a domain; add --domain, such as --domain=matrix.example.com"],
        ),
        (
            ["typing", "--ingress=gateway", "--domain=a.b"],
            ["--ingress=gateway needs a Gateway; add --gateway=NAMESPACE/NAME"],
        ),
        (
            ["typing", "--gateway=a"],
            ["--gateway='a' is only for --ingress=gateway; add it, or remove --gateway"],
        ),
        (
            ["typing", "--gateway=a/b/c", "--ingress=gateway", "--domain=a.b"],
            ["--gateway='a/b/c' is not the name of a Gateway; use NAME or NAMESPACE/NAME"],
        ),
        (
            ["typing", "--ingress=nginx"],
            ["--ingress='nginx' is none of none, ingress, gateway; use one of them"],
        ),
        (
            ["typing", "--namespace=Matrix"],
            [
                "--namespace='Matrix' is not the name of a namespace; use at most 63 characters of "
                "a-z 0-9 -"
            ],
        ),
        (
            ["typing", "--cluster-domain=.local"],
            [
                "--cluster-domain='.local' is not a domain name in lower case; use one, such as "
                "cluster.local"
            ],
        ),
        (
            ["typing:2", "--image=a b", "--namespace="],
            [
                "--namespace='' is not the name of a namespace; use at most 63 characters of "
                "a-z 0-9 -",
                "--image='a b' is not an image reference; use HOST/NAME:TAG or "
                "HOST/NAME@sha256:DIGEST",
                "SYNAPSE_WORKERS: typing1, typing2 all have the worker type typing, which only one "
                "worker may have; remove it from the others",
            ],
        ),
        (
            ["typing@10.0.0.7", "--one-container"],
            ["SYNAPSE_WORKERS: typing have a host, but all are in one pod; remove @HOST"],
        ),
        (
            ["pusher_1=pusher, pusher-1=federation_sender"],
            [
                "SYNAPSE_WORKERS: the Kubernetes objects of pusher-1 would be named pusher-1, "
                "like those of pusher_1; give the worker another name"
            ],
        ),
    ],
)
def test_a_mistake_is_named_and_nothing_is_printed(
    arguments: list[str], lines: list[str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Each message is one line, and the exit code is that of wrong settings."""
    images = [] if any("--image" in one for one in arguments) else [DIGEST]
    expected = [f"error: {line}" for line in lines]
    assert run(capsysbinary, *arguments, *images) == (2, b"", expected)


def test_an_image_without_a_digest_is_a_warning(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    """A tag can be moved."""
    code, output, messages = run(capsysbinary, "typing", "--image=quay.io/example/x:1")
    assert code == 0
    assert output
    assert messages == [
        "warning: --image='quay.io/example/x:1' has no digest, so a later start can run another "
        "image; use NAME@sha256:DIGEST"
    ]


_TEXT = st.text(max_size=30)
_OPTIONS = st.lists(
    st.builds(
        "--{}={}".format,
        st.sampled_from(
            ["cluster-domain", "domain", "gateway", "image", "ingress", "namespace", "x"]
        ),
        st.one_of(_TEXT, st.sampled_from(["a.example.com", "gateway", "ingress", "a/b"])),
    ),
    max_size=4,
)


@many(5)
@given(
    plan=st.one_of(_TEXT, st.sampled_from(["typing", "generic_worker:3, pusher", "_=pusher"])),
    options=_OPTIONS,
    one_container=st.booleans(),
    environ=st.dictionaries(
        st.one_of(
            st.sampled_from(["SYNAPSE_REPLICATION_HOST", "SYNAPSE_UNIX_SOCKETS", "SYNAPSE_X"]),
            st.text(max_size=5).map("SYNAPSE_{}".format),
        ),
        st.text(st.characters(exclude_categories=()), max_size=20),
        max_size=2,
    ),
)
def test_any_arguments_end_with_a_line_or_an_archive(
    plan: str, options: list[str], one_container: bool, environ: dict[str, str]
) -> None:
    """No input gives a traceback, or a file that is not YAML."""
    if one_container:
        options.append("--one-container")
    arguments = ["kubernetes", *options, "--", plan]
    status, output, _ = answer(arguments, environ, Tally("kubernetes"))
    if status == 0:
        with tarfile.open(fileobj=io.BytesIO(output.encode())) as tar:
            file = tar.extractfile("base/main.yaml")
            assert file
            main_process, *_ = yaml.safe_load_all(file.read())
        (container,) = main_process["spec"]["template"]["spec"]["containers"]
        assert {one["name"] for one in container["env"]} >= environ.keys() - {"SYNAPSE_WORKERS"}
