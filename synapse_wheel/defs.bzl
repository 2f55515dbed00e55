"""Rules that build wheels from pinned sources."""

load("//synapse_wheel/private:wheel.bzl", _compiled_wheels = "compiled_wheels", _synapse_wheel = "synapse_wheel")

compiled_wheels = _compiled_wheels
synapse_wheel = _synapse_wheel
