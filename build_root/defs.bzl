"""Runs a tool in the pinned build root: no network, no host programs, fixed paths and clock."""

BUILD_ROOT_ATTRS = {
    "_build_root": attr.label(
        allow_single_file = True,
        default = "//config:build_root",
        doc = "Names the root's content; the root lies beside it.",
    ),
    "_enter": attr.label(
        cfg = "exec",
        default = "//build_root:enter",
        doc = "Enters the root.",
        executable = True,
    ),
}

def run_in_build_root(ctx, tool, arguments, inputs, outputs, mnemonic, progress_message, beside = []):
    """Declares an action that runs `tool` with the build root's Python.

    Args:
        ctx: the rule's context; its attributes include BUILD_ROOT_ATTRS.
        tool: a File, a Python program that needs the standard library alone.
        arguments: what it gets, Args objects and strings.
        inputs: the files that it reads, a list.
        outputs: the files that it writes.
        mnemonic: the action's kind.
        progress_message: what Bazel shows meanwhile.
        beside: stamps whose neighbouring folders the tool reads too.
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
