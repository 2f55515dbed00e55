"""The end of both homeservers; the last of the tests that use them."""

from testbed.homeserver import Homeserver


def test_every_process_ends_cleanly(first: Homeserver, second: Homeserver) -> None:
    """On SIGTERM, every Synapse process exits with code 0."""
    for homeserver in (first, second):
        synapses = [process.name for process in homeserver.synapses()]
        statuses = homeserver.stop()
        assert {name: statuses[name] for name in synapses} == dict.fromkeys(synapses, 0)
