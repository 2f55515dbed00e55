"""HAProxy in a container beside those of Synapse, started as the official image starts it."""

from deploy import haproxy
from deploy.options import Options
from deploy.routing import Routing

UID = 99  # The user of the official image, without privileges.
FOLDER = "/usr/local/etc/haproxy"  # Where that image reads the configuration.
CONFIGURATION = "haproxy.cfg"
# In this mode (HAProxy's management guide, "-Ws"), it tells systemd when it is ready, if
# NOTIFY_SOCKET is set. HAProxy 3.1 and newer always can, and older versions with USE_SYSTEMD.
COMMAND = ("haproxy", "-Ws", "-f", f"{FOLDER}/{CONFIGURATION}")
FILES = (CONFIGURATION, "tls.crt", "tls.key")
OPTIONS = Options(
    client_port=8443,  # HAProxy does not run as root.
    certificate=f"{FOLDER}/tls.crt",
    key=f"{FOLDER}/tls.key",
)


def configuration(routing: Routing) -> str:
    """Return the configuration of HAProxy, which reads /etc/resolv.conf with every engine."""
    return haproxy.configuration(routing, OPTIONS)
