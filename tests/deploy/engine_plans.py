"""A plan for container engines, and the files that they print for it."""

from collections.abc import Mapping

from deploy.engines import REPLICATING, engine_files, engine_problems
from deploy.images import Images
from worker.deployment import deployment

PLAN = "synchrotron:2, typing, media_repository, both=federation_sender+pusher"
IMAGES = Images(image="quay.io/example/synapse@sha256:" + "0" * 64)


def files(
    engine: str,
    plan: str = PLAN,
    host: str = "",
    *,
    rootless: bool = False,
    environ: Mapping[str, str] = {},
) -> Mapping[str, str]:
    """Return the files of an engine by path."""
    found = deployment(environ, plan, with_replicas=engine in REPLICATING)
    assert engine_problems(found, IMAGES, host) == []
    return engine_files(engine, found, IMAGES, host, rootless=rootless)
