"""Rules that turn pinned inputs into deterministic layers."""

load(
    "//layers/private:layers.bzl",
    _debian_layer = "debian_layer",
    _program_layer = "program_layer",
    _wheels_layer = "wheels_layer",
)

debian_layer = _debian_layer
program_layer = _program_layer
wheels_layer = _wheels_layer
