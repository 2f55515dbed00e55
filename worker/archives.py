"""The archives that the verbs for container engines and Kubernetes print."""

from argparse import Namespace
from collections.abc import Mapping

from deploy.containers import Deployment
from deploy.engines import REPLICATING, archive, engine_files, engine_problems, image_problems
from deploy.images import IMAGE_HELP, Images
from deploy.kubernetes.options import KUBERNETES_HELP, parse_kubernetes_options
from worker.deployment import deployment
from worker.doctor import read_plan
from worker.errors import ConfigError, shown
from worker.hosts import unbracketed


def _chosen_images(arguments: Namespace) -> tuple[Images, list[str]]:
    """Return the images that the arguments name, and warnings about them."""
    given = {name: getattr(arguments, name) for name in IMAGE_HELP}
    images = Images(**{name: value for name, value in given.items() if value is not None})
    if "@sha256:" in images.image:
        return images, []
    return images, [
        f"--image={images.image!r} has no digest, so a later start can run another image; use "
        "NAME@sha256:DIGEST"
    ]


def _chosen_deployment(
    environ: Mapping[str, str], arguments: Namespace, *, with_replicas: bool
) -> tuple[Deployment, list[str]]:
    """Return the containers that the arguments ask for, and warnings about them.

    Raises:
        ConfigError: if the plan or a variable is invalid.
    """
    chosen = deployment(
        environ,
        read_plan(arguments.plan),
        with_replicas=with_replicas,
        one_container=arguments.one_container,
    )
    if arguments.one_container and not chosen.containers[0].members:
        return chosen, [
            "--one-container: the plan has no workers, so the main process is an ordinary container"
        ]
    return chosen, []


def engine_archive(environ: Mapping[str, str], arguments: Namespace) -> tuple[bytes, list[str]]:
    """Return what the verb ``compose`` or ``quadlet`` prints, and warnings.

    Args:
        environ: the variables that every process is to get.
        arguments: ``verb``, ``plan``, ``host``, ``rootless``, ``one_container``, and the images by
            name.

    Raises:
        ConfigError: if an argument, the plan or a variable is invalid.
    """
    images, warnings = _chosen_images(arguments)
    chosen, more = _chosen_deployment(
        environ, arguments, with_replicas=arguments.verb in REPLICATING
    )
    warnings += more
    host = unbracketed(arguments.host or "")
    problems = engine_problems(chosen, images, host)
    if problems:
        raise ConfigError([shown(problem) for problem in problems])
    files = engine_files(arguments.verb, chosen, images, host, rootless=arguments.rootless)
    return archive(files), warnings


def kubernetes_archive(environ: Mapping[str, str], arguments: Namespace) -> tuple[bytes, list[str]]:
    """Return what the verb ``kubernetes`` prints, and warnings.

    Args:
        environ: the variables that every process is to get.
        arguments: ``plan``, ``monitoring``, ``one_container``, and the images and other options by
            name.

    Raises:
        ConfigError: if an argument, the plan or a variable is invalid.
    """
    from deploy.kubernetes import manifests  # Needs PyYAML, which other verbs here do not.

    images, warnings = _chosen_images(arguments)
    given = {name: getattr(arguments, name) for name in KUBERNETES_HELP}
    options, problems = parse_kubernetes_options(
        {name: value for name, value in given.items() if value is not None},
        monitoring=arguments.monitoring,
    )
    problems += image_problems(images)
    try:
        chosen, more = _chosen_deployment(environ, arguments, with_replicas=True)
    except ConfigError as error:
        raise ConfigError([*map(shown, problems), *error.problems]) from None
    problems += manifests.problems(chosen)
    if problems:
        raise ConfigError([shown(problem) for problem in problems])
    return archive(manifests.files(chosen, images, options)), warnings + more
