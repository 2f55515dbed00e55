"""Tests of each formatting rule of rules_oci that affects a digest (docs/oci-substitute.md)."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from assemble import (
    EPOCH,
    Descriptor,
    Layout,
    Request,
    assemble,
    assemble_index,
    describe,
    jq,
    read_layout,
    write,
)

AMD64: dict[str, Any] = {"architecture": "amd64", "os": "linux"}


def layer(tmp_path: Path, data: bytes = b"tar", label: str = "//:layer") -> Descriptor:
    """Return the descriptor of a layer with ``data``."""
    path = tmp_path / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return describe(path, label)


def config(layout: Layout) -> bytes:
    """Return the config blob."""
    return layout.blobs[layout.manifest["config"]["digest"]]


def image(**attributes: object) -> Layout:
    """Return an image without layers."""
    return assemble([], Request(**(AMD64 | attributes)), None)


def test_json_is_printed_as_jq_prints_it() -> None:
    """The match includes indentation, raw UTF-8, escapes, DEL, empty containers and key order."""
    document = {"b": "é/<&>\x7f\t\x01", "a": [], "c": {}}
    assert jq(document).decode() == (
        '{\n  "b": "é/<&>\\u007f\\t\\u0001",\n  "a": [],\n  "c": {}\n}\n'
    )


def test_the_config_has_no_final_newline_and_the_manifest_has_one() -> None:
    """The newlines count in `size`, which is in bytes, also with non-ASCII characters."""
    made = image(labels=["a=é"])
    assert config(made).endswith(b"}")
    assert len(config(made)) == made.manifest["config"]["size"]
    raw = json.loads(made.files["index.json"])["manifests"][0]
    assert made.blobs[raw["digest"]].endswith(b"}\n")
    assert len(made.blobs[raw["digest"]]) == raw["size"]


def test_config_keys_stand_in_the_order_of_rules_oci() -> None:
    """`created` is always present and comes first; the platform comes last."""
    keys = list(json.loads(config(image(variant="v8"))))
    assert keys == ["created", "config", "history", "rootfs", "architecture", "os", "variant"]
    assert json.loads(config(image()))["created"] == EPOCH


def test_inner_config_keys_stand_in_the_order_of_rules_oci() -> None:
    """Cmd comes first, because setting an entrypoint starts by emptying Cmd."""
    made = image(
        entrypoint=["/a"],
        cmd=["b"],
        exposed_ports=["1/tcp"],
        volumes=["/v"],
        env=["A=1"],
        labels=["l=1"],
        user="1:1",
        workdir="/w",
    )
    assert list(json.loads(config(made))["config"]) == [
        "Cmd",
        "Entrypoint",
        "ExposedPorts",
        "Volumes",
        "Env",
        "Labels",
        "User",
        "WorkingDir",
    ]


def test_an_entrypoint_without_cmd_leaves_no_cmd() -> None:
    """The emptied Cmd is null and is deleted at the end."""
    assert "Cmd" not in json.loads(config(image(entrypoint=["/a"])))["config"]


def test_arguments_drop_empty_ones_and_unescape_newlines() -> None:
    """rules_oci's files represent a newline as `%5Cn`."""
    made = image(entrypoint=["/a", "", "x%5Cny"])
    assert json.loads(config(made))["config"]["Entrypoint"] == ["/a", "x\ny"]


def test_environment_expands_and_keeps_its_place(tmp_path: Path) -> None:
    """Unknown names expand to nothing; a key that a base already has keeps its position."""
    base = image(env=["PATH=/bin", "A=$PATH:/x", "B=${NOPE}y", "C=$$"])
    known = json.loads(config(base))["config"]["Env"]
    assert known == ["PATH=/bin", "A=/bin:/x", "B=y", "C=$$"]
    write(base, tmp_path / "base", link=False)
    over = assemble([], Request(env=["A=2", "D=$A"]), read_layout(tmp_path / "base"))
    assert over.config["config"]["Env"] == ["PATH=/bin", "A=2", "B=y", "C=$$", "D=2"]


def test_labels_split_at_the_first_equals_sign() -> None:
    """A value may contain more equals signs; empty lines are ignored."""
    assert json.loads(config(image(labels=["a=b=c", ""])))["config"]["Labels"] == {"a": "b=c"}


def test_ports_are_kept_as_written_and_may_be_none() -> None:
    """No /tcp is added; an empty list becomes an empty object."""
    made = json.loads(config(image(exposed_ports=["9090", "1/udp"], volumes=[])))["config"]
    assert made == {"ExposedPorts": {"9090": {}, "1/udp": {}}, "Volumes": {}}


def test_history_names_each_layer_by_its_label(tmp_path: Path) -> None:
    """Renaming a layer changes the digest; the image's creation time does not affect history."""
    request = Request(**AMD64, created="2024-05-06T07:08:09Z")
    made = assemble([layer(tmp_path)], request, None)
    assert made.config["history"] == [{"created": EPOCH, "created_by": "bazel build //:layer"}]
    assert made.config["created"] == "2024-05-06T07:08:09Z"


def test_layers_are_typed_by_their_first_bytes(tmp_path: Path) -> None:
    """The diff_id is of the uncompressed tar, while the digest is of the stored blob."""
    packed = gzip.compress(b"tar", mtime=0)
    made = assemble([layer(tmp_path), layer(tmp_path, packed)], Request(**AMD64), None)
    kinds = [entry["mediaType"].rpartition(".")[2] for entry in made.manifest["layers"]]
    assert kinds == ["tar", "tar+gzip"]
    tar = "sha256:" + hashlib.sha256(b"tar").hexdigest()
    assert made.config["rootfs"]["diff_ids"] == [tar, tar]
    assert list(made.manifest["layers"][0]) == ["size", "digest", "mediaType"]


def test_a_broken_layer_is_named(tmp_path: Path) -> None:
    """A broken gzip layer raises ValueError rather than an error from zlib."""
    with pytest.raises(ValueError, match="broken gzip"):
        layer(tmp_path, b"\x1f\x8b broken")


def test_annotations_come_last_and_only_in_the_manifest() -> None:
    """The descriptor in index.json has no annotations."""
    made = image(annotations=["a=b"])
    assert list(made.manifest)[-1] == "annotations"
    assert "annotations" not in json.loads(made.files["index.json"])["manifests"][0]


def test_layout_files_are_those_of_rules_oci(tmp_path: Path) -> None:
    """An image's oci-layout file has no space and no newline; an index's has both."""
    made = image()
    assert made.files["oci-layout"] == b'{"imageLayoutVersion":"1.0.0"}'
    assert list(json.loads(made.files["index.json"])) == [
        "schemaVersion",
        "mediaType",
        "manifests",
    ]
    write(made, tmp_path / "image", link=False)
    index = assemble_index([tmp_path / "image"])
    assert index.files["oci-layout"] == b'{"imageLayoutVersion": "1.0.0"}\n'
    document = json.loads(index.files["index.json"])
    assert list(document) == ["manifests"]
    assert list(document["manifests"][0]) == ["mediaType", "size", "digest"]
    inner = json.loads(index.blobs[document["manifests"][0]["digest"]])
    assert inner["manifests"][0]["platform"] == {"os": "linux", "architecture": "amd64"}


def test_a_child_drops_config_data_and_keeps_the_bases_layers(tmp_path: Path) -> None:
    """The config data that a base has inlined would be stale in the child."""
    base = assemble([layer(tmp_path)], Request(**AMD64), None)
    base.manifest["config"]["data"] = "e30="
    write(base, tmp_path / "base", link=True)
    child = assemble([layer(tmp_path, b"2")], Request(), read_layout(tmp_path / "base"))
    assert "data" not in child.manifest["config"]
    assert len(child.manifest["layers"]) == len(child.layers) == 2
