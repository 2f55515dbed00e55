"""The part of the public API of rules_oci that this repository uses."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("//oci/private:image.bzl", "digest_rule", "oci_image_index_rule", "oci_image_rule")
load("//oci/private:load.bzl", "oci_load_rule")
load("//oci/private:push.bzl", "oci_push_rule")

def _file(name, part, value, visibility = None):
    """Returns `value` if it is a label, otherwise the label of a file with its entries."""
    if value == None or type(value) == "string":
        return value
    if type(value) == "dict":
        value = ["%s=%s" % pair for pair in value.items()]
    target = "%s_%s" % (name, part)
    write_file(
        name = target,
        out = "_%s.%s.txt" % (name, part),
        content = [",".join(value)] if part in ["exposed_ports", "volumes"] else value,
        tags = ["manual"],
    )
    return ":" + target

_LISTS = ["annotations", "cmd", "entrypoint", "env", "exposed_ports", "labels", "volumes"]

def oci_image(name, **kwargs):
    """Declares an image and its digest.

    Args:
        name: The target for the layout; `<name>.digest` contains its digest.
        **kwargs: The attributes of rules_oci's oci_image.
    """
    parts = {part: _file(name, part, kwargs.pop(part)) for part in _LISTS if part in kwargs}
    oci_image_rule(name = name, **(kwargs | parts))
    _digest(name, kwargs)

def oci_image_index(name, images, **kwargs):
    """Declares an image index and its digest.

    Args:
        name: The target for the layout; `<name>.digest` contains its digest.
        images: The images.
        **kwargs: Attributes that are common to all rules.
    """
    oci_image_index_rule(name = name, images = images, **kwargs)
    _digest(name, kwargs)

def _digest(name, kwargs):
    digest_rule(
        name = name + ".digest",
        image = name,
        testonly = kwargs.get("testonly", False),
        visibility = kwargs.get("visibility"),
        tags = kwargs.get("tags", []),
    )

def oci_load(name, image, repo_tags, **kwargs):
    """Declares a target that loads an image into a container engine.

    Args:
        name: The runnable target.
        image: The image.
        repo_tags: A list of NAME:TAG, or a file that contains them.
        **kwargs: Attributes that are common to all rules.
    """
    oci_load_rule(name = name, image = image, repo_tags = _file(name, "tags", repo_tags), **kwargs)

def oci_push(name, image, repository = "", remote_tags = None, **kwargs):
    """Declares a target that pushes an image.

    Args:
        name: The runnable target.
        image: The image.
        repository: The default repository, if the command line does not name one.
        remote_tags: Not supported; tags are given on the command line.
        **kwargs: Attributes that are common to all rules.
    """
    if remote_tags:
        fail("%s: give tags on the command line" % name)
    oci_push_rule(name = name, image = image, repository = repository, **kwargs)
