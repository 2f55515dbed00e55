"""What an administrator can choose about the objects for Kubernetes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.options import checked

INGRESS = ("none", "ingress", "gateway")
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_GATEWAY = re.compile(rf"({_LABEL}/)?(?=[^/]{{1,253}}\Z){_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True)
class KubernetesOptions:
    """The choices for Kubernetes.

    Attributes:
        namespace: the namespace of all objects.
        ingress: how requests reach the proxy from outside; one of ``INGRESS``.
        domain: the host name that clients use; "" if ``ingress`` is ``none``.
        gateway: the Gateway of the route, as ``NAME`` or ``NAMESPACE/NAME``; "" if there is none.
        cluster_domain: the domain of the cluster's own names.
        scraper_namespace: the namespace of the Prometheus that reads the metrics.
        monitoring: whether to apply the objects for the Prometheus operator, too.
    """

    namespace: str = "synapse"
    ingress: str = "none"
    domain: str = ""
    gateway: str = ""
    cluster_domain: str = "cluster.local"
    scraper_namespace: str = "monitoring"
    monitoring: bool = False


# Maps each option with a value to its description for the help.
KUBERNETES_HELP = {
    "namespace": "the namespace; the default is synapse",
    "ingress": "how requests reach the proxy: ingress, gateway or none, the default",
    "domain": "the host name that clients use, for ingress and gateway",
    "gateway": "the Gateway for the route: NAME, or NAMESPACE/NAME",
    "cluster_domain": "the domain of the cluster's own names; the default is cluster.local",
    "scraper_namespace": "the namespace of Prometheus; the default is monitoring",
}


def _problem(name: str, text: str) -> str:
    """Return what is wrong with the value of an option, and what would be right, or ""."""
    if name in ("namespace", "scraper_namespace") and not re.fullmatch(_LABEL, text):
        return "is not the name of a namespace; use at most 63 characters of a-z 0-9 -"
    if name in ("domain", "cluster_domain"):
        last = text.rpartition(".")[2]
        if not _DOMAIN.fullmatch(text) or last.isdigit():
            example = "matrix.example.com" if name == "domain" else "cluster.local"
            return f"is not a domain name in lower case; use one, such as {example}"
    if name == "ingress" and text not in INGRESS:
        return f"is none of {', '.join(INGRESS)}; use one of them"
    if name == "gateway" and not _GATEWAY.fullmatch(text):
        return "is not the name of a Gateway; use NAME or NAMESPACE/NAME"
    return ""


def parse_kubernetes_options(
    values: Mapping[str, str], *, monitoring: bool
) -> tuple[KubernetesOptions, list[str]]:
    """Return the options, and a line for each value that is invalid or does not fit the others.

    Args:
        values: the values by name; those that are missing keep their defaults.
        monitoring: the option without a value.
    """
    valid, problems = checked(KubernetesOptions, values, _problem)
    options = KubernetesOptions(**valid, monitoring=monitoring)
    if not problems:
        problems += _missing(options)
    return options, problems


def _missing(options: KubernetesOptions) -> list[str]:
    """Return a line for each option that another one needs or makes useless."""
    problems = []
    if options.ingress == "none" and options.domain:
        problems.append(
            f"--domain={options.domain!r} is only for --ingress=ingress or --ingress=gateway; add "
            "one of them"
        )
    if options.ingress != "none" and not options.domain:
        problems.append(
            f"--ingress={options.ingress} needs a domain; add --domain, such as "
            "--domain=matrix.example.com"
        )
    if options.ingress == "gateway" and not options.gateway:
        problems.append("--ingress=gateway needs a Gateway; add --gateway=NAMESPACE/NAME")
    if options.ingress != "gateway" and options.gateway:
        problems.append(
            f"--gateway={options.gateway!r} is only for --ingress=gateway; add it, or remove "
            "--gateway"
        )
    return problems
