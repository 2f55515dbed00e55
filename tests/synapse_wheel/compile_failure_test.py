"""If a dependency without a wheel does not compile, the compiler's last lines are shown."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

HERE = Path.cwd()
_SETUP = """\
from setuptools import Extension, setup

setup(name="broken", version="1", ext_modules=[Extension("broken", ["broken.c"])])
"""


def test_the_compilers_last_lines_are_shown(tmp_path: Path) -> None:
    """The build root's compiler reports an undeclared name, and the error refers to its output."""
    work = tmp_path / "work"
    work.mkdir()
    with tarfile.open(work / "broken-1.tar.gz", "w:gz") as archive:
        for name, text in (("setup.py", _SETUP), ("broken.c", "int main(void) { return oops; }\n")):
            info = tarfile.TarInfo(f"broken-1/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    (work / "build_wheels.py").write_bytes((HERE / os.environ["TOOL"]).read_bytes())
    command: list[str | Path] = [
        HERE / os.environ["ENTER"],
        "--stamp",
        HERE / os.environ["STAMP"],
        "--",
    ]
    command += ["build_wheels.py", "--sdist=broken-1.tar.gz", "--output-folder=wheels"]
    done = subprocess.run(command, cwd=work, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert any("error: \u2018oops\u2019 undeclared" in line for line in lines), done.stderr
    assert lines[-1] == "error: broken-1.tar.gz does not build: see its own last lines above"
