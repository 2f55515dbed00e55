"""Runs several Synapse processes in one container, forked from one parent that imported Synapse."""
