"""The command that the substitute's rules run, to make an image, index, digest or tarball."""

import argparse
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from assemble import Request, assemble, assemble_index, describe, read_layout, write


def _lines(path: str | None) -> list[str] | None:
    return None if path is None else Path(path).read_text().split("\n")


def _words(path: str | None) -> list[str] | None:
    text = None if path is None else Path(path).read_text().replace("\n", ",")
    return None if text is None else [word for word in text.split(",") if word]


def _image(options: argparse.Namespace) -> None:
    request = Request(
        architecture=options.architecture,
        os=options.os,
        variant=options.variant,
        created=None if options.created is None else Path(options.created).read_text(),
        entrypoint=_lines(options.entrypoint),
        cmd=_lines(options.cmd),
        exposed_ports=_words(options.exposed_ports),
        volumes=_words(options.volumes),
        env=_lines(options.env),
        labels=_lines(options.labels),
        annotations=_lines(options.annotations),
        user=options.user,
        workdir=options.workdir,
    )
    pairs = [layer.split("=", 1) for layer in options.layer]
    layers = [describe(Path(path), label) for label, path in pairs]
    base = read_layout(options.base) if options.base else None
    write(assemble(layers, request, base), options.output, link=True)


def _index(options: argparse.Namespace) -> None:
    write(assemble_index(options.image), options.output, link=False)


def _digest(options: argparse.Namespace) -> None:
    index = json.loads((options.image / "index.json").read_bytes())
    options.output.write_text(index["manifests"][0]["digest"] + "\n")


def _tarball(options: argparse.Namespace) -> None:
    """Write a tarball for `docker load`: the blobs and a manifest.json."""
    image = read_layout(options.image)
    tags = [tag for tag in options.tags.read_text().splitlines() if tag]
    config = image.manifest["config"]["digest"]
    names = [layer["digest"] for layer in image.manifest["layers"]]

    def place(digest: str) -> str:
        return "blobs/" + digest.replace(":", "/")

    document: list[dict[str, Any]] = [
        {"Config": place(config), "RepoTags": tags, "Layers": [place(name) for name in names]}
    ]
    with tarfile.open(options.output, "w", format=tarfile.USTAR_FORMAT) as archive:

        def add(name: str, data: io.BufferedIOBase, size: int) -> None:
            info = tarfile.TarInfo(name)
            info.size, info.mode = size, 0o644
            archive.addfile(info, data)

        for digest in dict.fromkeys([config, *names]):
            path = options.image / place(digest)
            with path.open("rb") as blob:
                add(place(digest), blob, path.stat().st_size)
        text = json.dumps(document).encode()
        add("manifest.json", io.BytesIO(text), len(text))


def main(argv: list[str]) -> int:
    """Run a subcommand; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    image = verbs.add_parser("image")
    for name in ("architecture", "os", "variant", "user", "workdir"):
        image.add_argument("--" + name, default="")
    for name in ("annotations", "cmd", "created", "entrypoint", "env", "exposed-ports", "labels"):
        image.add_argument("--" + name)
    image.add_argument("--volumes")
    image.add_argument("--layer", action="append", default=[], metavar="LABEL=PATH")
    image.add_argument("--base", type=Path)
    image.set_defaults(run=_image)
    index = verbs.add_parser("index")
    index.add_argument("--image", type=Path, action="append", required=True)
    index.set_defaults(run=_index)
    digest = verbs.add_parser("digest")
    digest.add_argument("--image", type=Path, required=True)
    digest.set_defaults(run=_digest)
    tarball = verbs.add_parser("tarball")
    tarball.add_argument("--image", type=Path, required=True)
    tarball.add_argument("--tags", type=Path, required=True)
    tarball.set_defaults(run=_tarball)
    for verb in (image, index, digest, tarball):
        verb.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(argv)
    try:
        options.run(options)
    except ValueError as error:
        sys.exit(f"error: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
