"""Runs tools in the pinned build root: no network, no host programs, fixed paths and clock."""

BUILD_ROOT_ATTRS = {
    "_build_root": attr.label(
        allow_single_file = True,
        default = "//config:build_root",
        doc = "Identifies the content of the root, which is next to it.",
    ),
    "_enter": attr.label(
        cfg = "exec",
        default = "//sandbox:enter",
        doc = "Enters the root.",
        executable = True,
    ),
}

def run_in_build_root(ctx, tool, arguments, inputs, outputs, mnemonic, progress_message, beside = []):
    """Declares an action that runs `tool` with the build root's Python.

    Args:
        ctx: the rule's context; its attributes include BUILD_ROOT_ATTRS.
        tool: a File, a Python program that needs only the standard library and its inputs.
        arguments: its arguments, a list of Args objects and strings.
        inputs: the list of files that it reads.
        outputs: the list of files that it writes.
        mnemonic: the action's mnemonic.
        progress_message: the message that Bazel shows while it runs.
        beside: stamp files whose parent folders the tool reads too.
    """
    enter = ctx.actions.args()
    enter.add("--stamp", ctx.file._build_root)
    enter.add_all(beside, before_each = "--beside")
    enter.add("--")
    enter.add(tool)
    ctx.actions.run(
        executable = ctx.executable._enter,
        arguments = [enter] + arguments,
        inputs = [tool, ctx.file._build_root] + beside + inputs,
        outputs = outputs,
        mnemonic = mnemonic,
        progress_message = progress_message,
    )
