"""The files of Debian packages that the image leaves out, each with a reason."""

import fnmatch

# Path pattern (for fnmatch, where * also matches slashes) -> why the image does not need the files.
LEFT_OUT = {
    "etc/ca-certificates*": "configures update-ca-certificates; the bundle is made here",
    "etc/default*": "settings of services",
    "etc/init.d*": "no init",
    "etc/profile.d*": "no shell",
    "etc/skel*": "nobody logs in",
    "etc/update-motd.d*": "nobody logs in",
    "usr/bin/c_rehash": "a Perl script",
    "usr/bin/openssl": "no process of Synapse calls it; its libraries stay",
    "usr/lib/binfmt.d*": "no init",
    "usr/lib/python3.??/__phello__*": "a test of frozen modules",
    "usr/lib/python3.??/ensurepip*": "nothing is installed later",
    "usr/lib/python3.??/idlelib*": "no display",
    "usr/lib/python3.??/lib-dynload/_ctypes_test*": "tests of Python itself",
    "usr/lib/python3.??/lib-dynload/_test*": "tests of Python itself",
    "usr/lib/python3.??/lib-dynload/_xxtestfuzz*": "tests of Python itself",
    "usr/lib/python3.??/lib-dynload/xx*": "examples of extension modules",
    "usr/lib/python3.??/lib2to3*": "no Python 2",
    "usr/lib/python3.??/pydoc_data*": "texts of the interactive help",
    "usr/lib/python3.??/test/*": "tests of Python itself",
    "usr/lib/python3.??/tkinter*": "no display",
    "usr/lib/python3.??/turtledemo*": "no display",
    "usr/lib/python3.??/venv*": "nothing is installed later",
    "usr/lib/ssl/misc*": "Perl scripts",
    "usr/lib/ssl/private": "no keys",
    "usr/lib/systemd*": "no init",
    "usr/lib/tmpfiles.d*": "no init",
    "usr/lib/x86_64-linux-gnu/gconv/*": (
        "iconv of legacy encodings: Python has its own codecs, UTF-8 and UTF-16 are inside libc"
    ),
    "usr/lib/x86_64-linux-gnu/libc_malloc_debug.so*": "debugs malloc",
    "usr/lib/x86_64-linux-gnu/libmemusage.so": "debugs malloc",
    "usr/lib/x86_64-linux-gnu/libpcprofile.so": "profiles programs built for it",
    "usr/sbin/update-ca-certificates": "a shell script",
    "usr/share/applications*": "no desktop",
    "usr/share/base-files*": "templates of files of a login",
    "usr/share/bash-completion*": "no shell",
    "usr/share/binfmts*": "no init",
    "usr/share/bug*": "reports bugs with a shell script",
    "usr/share/debconf*": "asks questions at installation only",
    "usr/share/gcc*": "pretty printers of a debugger",
    "usr/share/gdb*": "pretty printers of a debugger",
    "usr/share/info*": "documentation",
    "usr/share/libgcrypt20*": "a shell script",
    "usr/share/lintian*": "checks of Debian's packaging",
    "usr/share/locale*": "messages are English",
    "usr/share/man*": "documentation",
    "usr/share/pixmaps*": "no desktop",
    "var/cache*": "caches",
    "var/lock*": "a link into /run is made here",
    "var/run*": "a link to /run is made here",
}

# Packages of which only a few files are needed: name -> the files, in addition to the copyright.
KEPT_ALONE = {
    "libc-bin": ("usr/lib/locale/C.utf8*",),
}


def is_wanted(package: str, path: str) -> bool:
    """Tell whether the image includes ``path`` (merged, without a leading slash) of ``package``."""
    if path.startswith("usr/share/doc/"):
        return path.endswith("/copyright")
    if "/__pycache__/" in path:
        return False
    if package in KEPT_ALONE:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in KEPT_ALONE[package])
    return not any(fnmatch.fnmatchcase(path, pattern) for pattern in LEFT_OUT)
