"""Runs a Synapse application, and exits on a SIGTERM during its startup.

Synapse is process 1 of its container.  The kernel drops a signal for process 1 that has no handler
(pid_namespaces(7)), and Twisted installs its own handlers only when its reactor runs: after the
imports, the configuration and every migration of the database.  Until then the handler in this file
ends the process, as the signal's default action would end any other process.

    boot.py APPLICATION ARGUMENT...

This file is run by path in Python's isolated mode, and imports nothing from the entrypoint.
"""

import gc
import importlib
import os
import select
import signal
import sys
import threading
from types import FrameType

_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _end(signal_number: int, _: FrameType | None) -> None:
    os._exit(128 + signal_number)


def _watch(wakeup_reader: int) -> None:
    """End the process even while its main thread is inside a library, as in a migration's query.

    Python runs signal handlers only in the main thread, and only between bytecode instructions.

    Args:
        wakeup_reader: the file descriptor to read the number of each signal from, one byte each.
    """
    while signal.getsignal(signal.SIGTERM) is _end:
        if select.select([wakeup_reader], [], [], 0.5)[0]:
            signal_number = os.read(wakeup_reader, 1)[0]
            # Twisted may have taken over in the meantime.
            if signal_number in _ENDING_SIGNALS and signal.getsignal(signal.SIGTERM) is _end:
                os._exit(128 + signal_number)


def main(application: str) -> None:
    """Run the function ``main`` of the module ``application``, as the module itself does.

    It reads its arguments from ``sys.argv``.
    """
    modules = os.environ.get("SYNAPSE_MODULES_DIR")
    if modules:
        sys.path.append(modules)  # Last, so that it cannot replace a module of the image.
    # SIGINT keeps Python's own handler, since Twisted does not replace any other handler.
    signal.signal(signal.SIGTERM, _end)
    wakeup_reader, wakeup_writer = os.pipe()
    os.set_blocking(wakeup_writer, False)
    signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=[wakeup_reader], daemon=True).start()
    # The entrypoint blocked these signals while there was no handler.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING_SIGNALS)
    try:
        # The collector would run about 125 times during the imports, which takes a tenth of their
        # time, although they leave hardly anything to collect.
        gc.disable()
        module = importlib.import_module(application)
        gc.enable()
        module.main()
    except KeyboardInterrupt:
        _end(signal.SIGINT, None)


if __name__ == "__main__":
    del sys.argv[0]
    main(sys.argv[0])
