"""The public API of rules_oci, as far as this repository uses it."""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("//oci/private:image.bzl", "digest_rule", "oci_image_index_rule", "oci_image_rule")
load("//oci/private:load.bzl", "oci_load_rule")
load("//oci/private:push.bzl", "oci_push_rule")

def _file(name, part, value, visibility = None):
    """A label for `value`: itself, or a file that holds it line by line."""
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
    """An image and its digest.

    Args:
        name: the layout; `<name>.digest` holds its digest.
        **kwargs: as of rules_oci's oci_image.
    """
    parts = {part: _file(name, part, kwargs.pop(part)) for part in _LISTS if part in kwargs}
    oci_image_rule(name = name, **(kwargs | parts))
    _digest(name, kwargs)

def oci_image_index(name, images, **kwargs):
    """An index over images and its digest.

    Args:
        name: the layout; `<name>.digest` holds its digest.
        images: the images.
        **kwargs: attributes that every rule has.
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
    """Loads an image into a container engine.

    Args:
        name: the runnable target.
        image: the image.
        repo_tags: a list of NAME:TAG, or a file of them.
        **kwargs: attributes that every rule has.
    """
    oci_load_rule(name = name, image = image, repo_tags = _file(name, "tags", repo_tags), **kwargs)

def oci_push(name, image, repository = "", remote_tags = None, **kwargs):
    """Pushes an image.

    Args:
        name: the runnable target.
        image: the image.
        repository: where to push when the command line does not say.
        remote_tags: none here: tags come from the command line.
        **kwargs: attributes that every rule has.
    """
    if remote_tags:
        fail("%s: give tags on the command line" % name)
    oci_push_rule(name = name, image = image, repository = repository, **kwargs)
