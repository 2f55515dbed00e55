"""oci_image and oci_image_index, with the attributes and the exact output of rules_oci 2.2.6."""

_ATTRS = {
    "annotations": attr.label(allow_single_file = True, doc = "A file of key=value lines."),
    "architecture": attr.string(doc = "The CPU architecture; not allowed with base."),
    "base": attr.label(allow_single_file = True, doc = "The base image."),
    "cmd": attr.label(allow_single_file = True, doc = "A file with one argument per line."),
    "created": attr.label(allow_single_file = True, doc = "A file with an RFC 3339 time."),
    "entrypoint": attr.label(allow_single_file = True, doc = "A file with one argument per line."),
    "env": attr.label(allow_single_file = True, doc = "A file of key=value lines."),
    "exposed_ports": attr.label(allow_single_file = True, doc = "A file of comma-separated ports."),
    "labels": attr.label(allow_single_file = True, doc = "A file of key=value lines."),
    "os": attr.string(doc = "The operating system; not allowed with base."),
    "resource_set": attr.string(doc = "Accepted but ignored."),
    "tars": attr.label_list(allow_files = True, doc = "The layers, lowest first."),
    "user": attr.string(doc = "The user, as UID:GID."),
    "variant": attr.string(doc = "The CPU variant; not allowed with base."),
    "volumes": attr.label(allow_single_file = True, doc = "A file of comma-separated paths."),
    "workdir": attr.string(doc = "The working directory."),
    "_tool": attr.label(cfg = "exec", default = "@//debian_mode/oci_layout", executable = True),
}

_FILES = ["annotations", "cmd", "created", "entrypoint", "env", "exposed_ports", "labels", "volumes"]
_WORDS = ["architecture", "os", "user", "variant", "workdir"]

def _layer_label(label):
    text = str(label)
    return text[text.index("//"):] if text.startswith("@@//") or text.startswith("@//") else text

def _oci_image_impl(ctx):
    if not ctx.attr.base and not (ctx.attr.os and ctx.attr.architecture):
        fail("%s: os and architecture are needed where base is not given" % ctx.label)
    if ctx.attr.base and (ctx.attr.os or ctx.attr.architecture or ctx.attr.variant):
        fail("%s: os, architecture and variant come from base; leave them out" % ctx.label)
    layout = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add("image")
    args.add_all([layout], before_each = "--output", expand_directories = False)
    inputs = []
    for target in ctx.attr.tars:
        for file in target.files.to_list():
            args.add("--layer", file, format = _layer_label(target.label) + "=%s")
            inputs.append(file)
    below = []
    if ctx.attr.base:
        args.add_all([ctx.file.base], before_each = "--base", expand_directories = False)
        below = [ctx.attr.base[DefaultInfo].files, ctx.attr.base[OutputGroupInfo]._layers]
    for name in _FILES:
        file = getattr(ctx.file, name)
        if file:
            args.add("--" + name.replace("_", "-"), file)
            inputs.append(file)
    for name in _WORDS:
        if getattr(ctx.attr, name):
            args.add("--" + name, getattr(ctx.attr, name))
    ctx.actions.run(
        executable = ctx.executable._tool,
        arguments = [args],
        inputs = depset(inputs, transitive = below),
        outputs = [layout],
        mnemonic = "OCIImage",
        progress_message = "Assembling %{label}",
    )

    # The layout contains symlinks to its layers, so its consumers need the layers, too.
    layers = depset([file for target in ctx.attr.tars for file in target.files.to_list()], transitive = below[1:] + below[:1])
    return [
        DefaultInfo(files = depset([layout]), runfiles = ctx.runfiles([layout], transitive_files = layers)),
        OutputGroupInfo(_layers = layers),
    ]

oci_image_rule = rule(
    implementation = _oci_image_impl,
    doc = "Builds an OCI image layout.",
    attrs = _ATTRS,
)

def _oci_image_index_impl(ctx):
    layout = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add("index")
    args.add_all([layout], before_each = "--output", expand_directories = False)
    args.add_all(ctx.files.images, before_each = "--image", expand_directories = False)
    ctx.actions.run(
        executable = ctx.executable._tool,
        arguments = [args],
        inputs = depset(ctx.files.images, transitive = [
            image[OutputGroupInfo]._layers
            for image in ctx.attr.images
        ]),
        outputs = [layout],
        mnemonic = "OCIIndex",
        progress_message = "Assembling %{label}",
    )
    return [DefaultInfo(files = depset([layout])), OutputGroupInfo(_layers = depset())]

oci_image_index_rule = rule(
    implementation = _oci_image_index_impl,
    doc = "Builds an OCI layout with an index of images.",
    attrs = {
        "images": attr.label_list(doc = "The images.", mandatory = True),
        "_tool": _ATTRS["_tool"],
    },
)

def _digest_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    args.add("digest")
    args.add_all([ctx.file.image], before_each = "--image", expand_directories = False)
    args.add("--output", out)
    ctx.actions.run(
        executable = ctx.executable._tool,
        arguments = [args],
        inputs = [ctx.file.image],
        outputs = [out],
        mnemonic = "OCIDigest",
    )
    return [DefaultInfo(files = depset([out]))]

digest_rule = rule(
    implementation = _digest_impl,
    doc = "Writes the digest of an image, followed by a newline.",
    attrs = {
        "image": attr.label(allow_single_file = True, mandatory = True),
        "_tool": _ATTRS["_tool"],
    },
)
