"""When a process that has died is started again, and when it dies too often."""

from dataclasses import dataclass

_FIRST_SECONDS, _MAX_SECONDS = 1.0, 60.0
_SETTLED_SECONDS = 180.0  # After so long, a death has nothing to do with the ones before.
_RECOVERED_SECONDS = 30.0  # After so long, a process does not keep dying any more.
MAX_DEATHS = 5  # From then on, the container is unhealthy.


@dataclass
class Restarts:
    """Counts the deaths of one process.

    Attributes:
        deaths: the number of deaths since it last ran for three minutes.
    """

    deaths: int = 0

    def died(self, ran_seconds: float) -> float:
        """Note that it died after ``ran_seconds``; return the seconds until its next start."""
        self.deaths = 1 if ran_seconds >= _SETTLED_SECONDS else self.deaths + 1
        # The exponent is limited, since a power of a thousand deaths is no float.
        return min(_MAX_SECONDS, _FIRST_SECONDS * 2.0 ** min(self.deaths - 1, 10))

    def keeps_dying(self, ran_seconds: float) -> bool:
        """Return whether it dies again and again.

        Args:
            ran_seconds: how long it has been running now; 0 if it is not.
        """
        return self.deaths >= MAX_DEATHS and ran_seconds < _RECOVERED_SECONDS
