"""Imports Synapse once, in a form that every child can use as its own.

Twisted has one reactor for each process, and modules keep a reference to it when they are imported.
A reactor made before a fork would share its epoll descriptor with every child.  So an object of the
reactor's class is installed that has not been initialized, and each child initializes it.  Synapse
supports imports without a usable reactor: its own `synapse.app.complement_fork_starter`, since
1.58, does the same for its tests.
"""

import asyncio
import gc
import importlib
import os
import random
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from supervisor.child import random_generators
from supervisor.memory import look_up_in_classes, make_immortal, release_free_memory

_ASYNCIO_SWITCH = "SYNAPSE_ASYNC_IO_REACTOR"  # synapse/__init__.py installs that reactor if set.
# Wraps parts of the reactor when it is imported, and nothing uses its names.
_REACTOR_METRICS = "synapse.metrics._reactor_metrics"


@dataclass(frozen=True)
class Warmed:
    """Synapse, as the parent has imported it.

    Attributes:
        reactor: the reactor that each child initializes.
        uses_asyncio: whether the reactor runs on an event loop of asyncio.
        generators: its pseudorandom generators.
    """

    reactor: Any
    uses_asyncio: bool
    generators: tuple[random.Random, ...]

    def finish(self) -> None:
        """Give this child a reactor of its own."""
        if self.uses_asyncio:
            os.environ[_ASYNCIO_SWITCH] = "1"
            self.reactor.__init__(asyncio.new_event_loop())
        else:
            self.reactor.__init__()
        del sys.modules[_REACTOR_METRICS]
        importlib.import_module(_REACTOR_METRICS)


def _uninitialized_reactor(*, uses_asyncio: bool) -> Any:
    from twisted.internet import asyncioreactor, epollreactor

    reactor_class = (
        asyncioreactor.AsyncioSelectorReactor if uses_asyncio else epollreactor.EPollReactor
    )
    return reactor_class.__new__(reactor_class)


def warm(apps: Sequence[str]) -> Warmed:
    """Import the modules ``apps``, and prepare their memory so that children can share it.

    A child gets its own copy of each page that it writes to.  So neither the garbage collector nor
    the reference counts write to these objects any more, and free memory is given back.
    """
    gc.disable()
    uses_asyncio = bool(os.environ.pop(_ASYNCIO_SWITCH, ""))
    reactor = _uninitialized_reactor(uses_asyncio=uses_asyncio)
    from twisted.internet.main import installReactor

    installReactor(reactor)
    sys.modules[_REACTOR_METRICS] = types.ModuleType(_REACTOR_METRICS)
    for app in apps:
        importlib.import_module(app)
    generators = random_generators()  # The collector does not know them once they are frozen.
    look_up_in_classes()
    make_immortal()
    # Without a collection first: every child would soon fill the holes that it leaves.
    gc.freeze()
    gc.enable()
    release_free_memory()
    return Warmed(reactor, uses_asyncio, generators)
