"""Runs programs in isolation from the machine, with bwrap."""
