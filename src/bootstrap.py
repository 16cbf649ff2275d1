#!/usr/bin/env python3
"""Set TAGscope up on a fresh machine, then run its demo or its tests.

    python3 src/bootstrap.py demo    train on the sample, annotate it, open it in napari
    python3 src/bootstrap.py test    static checks and the whole test suite

Standard library only. Makes ``.venv`` beside ``pyproject.toml``; what is already done is skipped.
Further arguments of ``test`` go to pytest.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
OUT = ROOT / "out"
TORCH = "torch==2.13.0"
OLDEST_PYTHON = (3, 11)
WINDOWED = "tests/qt"

# Library that napari's window needs -> Debian package that brings it.
SYSTEM_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libOpenGL.so.0": "libopengl0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}
MESA_DRIVERS = (
    "/usr/lib/*/dri/swrast_dri.so",
    "/usr/lib/*/libgallium*.so",
    "/usr/lib64/dri/swrast_dri.so",
)


class SetupError(Exception):
    """Setting up cannot go on; the message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Set up, then run the wanted command; the exit code is the command's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("demo", "test"))
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command == "demo":
        parser.error(f"demo takes no further arguments, got {shlex.join(rest)}")
    try:
        set_up("gui" if options.command == "demo" else "dev")
        return run_demo() if options.command == "demo" else run_tests(rest)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


# --- setting up -----------------------------------------------------------------------------------


def set_up(extra: str) -> None:
    """Make the environment with the project's ``extra``; safe to run twice at once."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(f"This is Python {found}; TAGscope needs 3.11 or newer.")
    with locked(ROOT / ".venv.lock"):
        install_system_packages()
        stamp = VENV / f".tagscope-{extra}"
        wanted = fingerprint(extra)
        if environment_works() and stamp.is_file() and stamp.read_text() == wanted:
            return
        make_environment()
        say("installing torch")
        pip("install", TORCH)
        say("installing TAGscope")
        pip("install", "--editable", f"{ROOT}[{extra}]", cwd=tempfile.gettempdir())
        stamp.write_text(wanted)


def fingerprint(extra: str) -> str:
    """Changes when the environment has to be installed again (the folder may have been moved)."""
    parts = (str(ROOT), extra, TORCH, sys.version, (ROOT / "pyproject.toml").read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def venv_python() -> Path:
    """The environment's interpreter."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment_works() -> bool:
    """Whether the environment is there and has pip (an interrupted set-up may lack it)."""
    if not venv_python().exists():
        return False
    probe = [str(venv_python()), "-c", "import pip"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def make_environment() -> None:
    """Create ``.venv``, anew where it is broken."""
    if environment_works():
        return
    say(f"making {VENV}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False)
    if made.returncode:
        raise SetupError("python -m venv failed. Install the package python3-venv, then try again.")


def pip(*arguments: str, cwd: str | None = None) -> None:
    """Run pip in the environment, quietly; what it says is shown when it fails."""
    command = [str(venv_python()), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        sys.stderr.write(done.stdout[-4000:] + done.stderr[-4000:])
        raise SetupError(f"{shlex.join(command)} failed. Is a package registry reachable?")


def missing_system_packages() -> list[str]:
    """Debian packages that the window needs here and that are not installed."""
    if not sys.platform.startswith("linux"):
        return []
    missing = [package for name, package in SYSTEM_LIBRARIES.items() if not loads(name)]
    if not any(list(Path("/").glob(pattern[1:])) for pattern in MESA_DRIVERS):
        missing.append("libgl1-mesa-dri")
    if not shutil.which("Xvfb"):
        missing.append("xvfb")
    if not list(Path("/usr/share/fonts").rglob("*.ttf")):
        missing.append("fonts-dejavu-core")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        missing.append("python3-venv")
    return missing


def loads(library: str) -> bool:
    """Whether the dynamic loader finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def install_system_packages() -> None:
    """Install what is missing with apt where that is allowed, else say how."""
    missing = missing_system_packages()
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if sys.platform == "win32" or not shutil.which("apt-get") or os.geteuid() != 0:
        print(
            "System libraries that napari's window needs are missing. Install them with\n"
            f"    sudo {shlex.join(install)}\n"
            "or your system's packages of the same names, and run this again. Going on without.",
            file=sys.stderr,
        )
        return
    say(f"installing {', '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], install):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(done.stdout[-2000:] + done.stderr[-2000:])
            raise SetupError(f"{shlex.join(command)} failed.")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes: the second of two set-ups or demos waits for the first."""
    with path.open("a+b") as handle:
        if sys.platform == "win32":
            import msvcrt

            while True:
                try:
                    msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
                    break
                except OSError:
                    time.sleep(1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# --- screens --------------------------------------------------------------------------------------


def has_display() -> bool:
    """Whether a person could see a window."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextlib.contextmanager
def virtual_screen() -> Iterator[dict[str, str]]:
    """Environment of a virtual screen rendered by Mesa in software; the screen ends with it."""
    if not sys.platform.startswith("linux"):
        yield dict(os.environ)
        return
    if not shutil.which("Xvfb"):
        raise SetupError("Xvfb is needed to draw without a display. Install the package xvfb.")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1680x1000x24", "-noreset",
               "-nolisten", "tcp", "+extension", "GLX"]  # fmt: skip
    with subprocess.Popen(command, pass_fds=(writing,), stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as answer:
            number = answer.readline().strip()
        if not number:
            raise SetupError("Xvfb did not start.")
        environment = {**os.environ, "DISPLAY": f":{number}", "LIBGL_ALWAYS_SOFTWARE": "1",
                       "QT_QPA_PLATFORM": "xcb"}  # fmt: skip
        environment.pop("WAYLAND_DISPLAY", None)
        try:
            yield environment
        finally:
            server.terminate()


# --- commands -------------------------------------------------------------------------------------


def run(*arguments: str, environment: dict[str, str] | None = None) -> int:
    """Run a module of the environment from the project's folder; returns its exit code."""
    command = [str(venv_python()), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def run_tests(pytest_arguments: list[str]) -> int:
    """Static checks, then pytest on a virtual screen. 0 when all of them pass."""
    checks = {
        "ruff format": ("-m", "ruff", "format", "--check", "src", "tests"),
        "ruff check": ("-m", "ruff", "check", "src", "tests"),
        "mypy": ("-m", "mypy"),
        "import-linter": ("-c", "from importlinter.cli import lint_imports_command as c; c()"),
    }
    failed = []
    for name, command in checks.items():
        say(name)
        if run(*command):
            failed.append(name)
    say("pytest")
    with virtual_screen() as environment:
        if run_pytest(pytest_arguments, environment):
            failed.append("pytest")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run_pytest(arguments: list[str], environment: dict[str, str]) -> int:
    """The tests that open windows beside all others, as they wait for the screen half of their
    time; what they say comes last. Those that ``arguments`` choose run in one process."""
    if arguments or (os.cpu_count() or 1) < 2:
        return run("-m", "pytest", *arguments, environment=environment)
    command = [str(venv_python()), "-m", "pytest", WINDOWED]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said,
                              stderr=subprocess.STDOUT) as windowed:  # fmt: skip
            try:
                others = run("-m", "pytest", "--ignore", WINDOWED, environment=environment)
            except BaseException:
                windowed.terminate()
                raise
        say(f"pytest {WINDOWED}")
        said.seek(0)
        shutil.copyfileobj(said, sys.stdout)
    return others or windowed.returncode


def demo_steps(out: Path) -> list[list[str]]:
    """The demo as commands: from the sample's reference to an annotated section in ``out``."""
    sample = ROOT / "sample_data"
    section, bundle, annotated = sample / "section.zarr", out / "cellmemory", out / "section.zarr"
    steps = (
        ("train", sample / "reference.h5ad", "--label", "cell_type", "--panel", section,
         "--folds", "1", "--out", bundle, "--overwrite"),
        ("check", section, "--bundle", bundle),
        ("annotate", section, "--bundle", bundle, "--attention", "--out", annotated,
         "--overwrite"),
        ("evaluate", annotated, "--prediction", "cellmemory", "--truth", sample / "truth.json",
         "--out", out / "evaluation", "--overwrite"),
        ("tags", annotated, "--out", out / "tags.csv", "--overwrite"),
        ("export", annotated, "--to", "figure", "--out", out / "section.png", "--overwrite"),
    )  # fmt: skip
    return [[str(word) for word in step] for step in steps]


def run_demo() -> int:
    """Run the demo's commands, then show the result in napari."""
    OUT.mkdir(exist_ok=True)
    with locked(OUT / ".lock"):
        for step in demo_steps(OUT):
            if code := tagscope(*step):
                return code
    print(f"\nEverything was written to {OUT}")
    view = ["view", str(OUT / "section.zarr"), "--gene", telling_tag(OUT / "tags.csv")]
    if has_display():
        return tagscope(*view)
    with virtual_screen() as environment:
        return tagscope(*view, "--screenshot", str(OUT), environment=environment)


def telling_tag(tags: Path) -> str:
    """Of each type's three top genes, the one whose attention tells its type best (AUC)."""
    with tags.open(newline="", encoding="utf-8") as rows:
        top = [row for row in csv.DictReader(rows) if int(row["rank"]) <= 3]
    return max(top, key=lambda row: float(row["auc"] or 0))["gene"]


def tagscope(*words: str, environment: dict[str, str] | None = None) -> int:
    """Show one command as a user would type it, and run it."""
    print(f"\n$ tagscope {shlex.join(words)}", flush=True)
    return run("-m", "tagscope", *words, environment=environment)


def say(what: str) -> None:
    """One line of progress."""
    print(f"== {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
