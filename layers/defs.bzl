"""Rules that build deterministic layers from pinned inputs."""

load("//layers/private:debian_layer.bzl", _debian_layer = "debian_layer")
load("//layers/private:entrypoint_layer.bzl", _entrypoint_layer = "entrypoint_layer")
load("//layers/private:wheels_layer.bzl", _wheels_layer = "wheels_layer")

debian_layer = _debian_layer
entrypoint_layer = _entrypoint_layer
wheels_layer = _wheels_layer
