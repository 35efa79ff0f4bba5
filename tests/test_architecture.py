"""What holds for the whole tree: who may import whom, what no file may do, how long one may be."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "bozzetto").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_LINES = 400

# Of these only data files are read; importing them would bring torchvision, jax or OpenCV along.
NEVER_IMPORTED = ("torchvision", "mediapipe", "lpips", "stlpips_pytorch", "jax", "cv2")


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_the_import_contracts_hold() -> None:
    code = "import sys; from importlinter.cli import lint_imports as lint; sys.exit(lint(no_cache=True, no_logo=True))"
    done = run_python(code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_importing_every_module_brings_no_unwanted_package_along() -> None:
    done = run_python(
        "import importlib, pkgutil, sys, bozzetto\n"
        "names = [m.name for m in pkgutil.walk_packages(bozzetto.__path__, 'bozzetto.')]\n"
        "for name in names:\n"
        "    if not name.endswith('__main__'): importlib.import_module(name)\n"
        f"print(len(names), [name for name in {NEVER_IMPORTED} if name in sys.modules])"
    )
    assert done.returncode == 0, done.stderr
    count, unwanted = done.stdout.split(maxsplit=1)
    assert int(count) >= len(SOURCES) - 1  # all but the package itself, so nothing was missed
    assert unwanted.strip() == "[]"


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_holds_everything(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def called(node: ast.AST) -> str:
    """Dotted name of what a call calls: "torch.load", "eval", ".cuda" for the method of an expression."""
    if not isinstance(node, ast.Call):
        return ""
    parts, target = [], node.func
    while isinstance(target, ast.Attribute):
        parts.append(target.attr)
        target = target.value
    parts.append(target.id if isinstance(target, ast.Name) else "")
    return ".".join(reversed(parts))


def says(node: ast.AST, keyword: str, value: object) -> bool:
    """Whether a call passes the keyword with exactly this constant."""
    return isinstance(node, ast.Call) and any(
        k.arg == keyword and isinstance(k.value, ast.Constant) and k.value.value is value for k in node.keywords
    )


# Each rule answers whether a node breaks it; beside it stands a line that must be found to do so.
RULES: dict[str, tuple[Callable[[ast.AST], bool], str]] = {
    "torch.load says weights_only=True": (
        lambda node: called(node) == "torch.load" and not says(node, "weights_only", True),
        "torch.load(path, weights_only=False)",
    ),
    "numpy.load allows no pickles": (lambda node: says(node, "allow_pickle", True), "np.load(p, allow_pickle=True)"),
    "no bare pickle": (
        lambda node: (
            re.fullmatch(r"(pickle|cPickle|dill|joblib)\.(load|loads|Unpickler)", called(node)) is not None
            or (
                isinstance(node, ast.ImportFrom)
                and node.module == "pickle"
                and {n.name for n in node.names} >= {"load"}
            )
        ),
        "pickle.load(stream)",
    ),
    "no code from text": (
        lambda node: called(node) in ("eval", "exec", "compile", "builtins.eval", "builtins.exec", "os.system"),
        "exec(source)",
    ),
    "no shell": (lambda node: says(node, "shell", True), "subprocess.run(line, shell=True)"),
    "devices by argument": (lambda node: called(node).endswith(".cuda"), "x.float().cuda()"),
    "every grid_sample says align_corners=True": (
        lambda node: called(node).endswith("grid_sample") and not says(node, "align_corners", True),
        "F.grid_sample(image, grid)",
    ),
    "no seeding of global generators": (
        lambda node: (
            re.fullmatch(r"(torch|torch\.random|np\.random|numpy\.random|random)\.(manual_)?seed", called(node))
            is not None
        ),
        "torch.manual_seed(0)",
    ),
}


def breaches(rule: str, source: str) -> Iterator[int]:
    """Line numbers at which the source breaks the rule."""
    breaks = RULES[rule][0]
    return (getattr(node, "lineno", 0) for node in ast.walk(ast.parse(source)) if breaks(node))


@pytest.mark.parametrize("rule", RULES)
def test_no_source_breaks_the_rule(rule: str) -> None:
    assert list(breaches(rule, RULES[rule][1])), "the rule does not find its own example"
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line in breaches(rule, path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_only_the_command_line_prints() -> None:
    library = [path for path in SOURCES if "cli" not in path.parts]
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in library
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and called(node) in ("print", "sys.stdout.write")
    ]
    assert not found


# Written so that the patterns do not find themselves.
MACHINE_PATH = re.compile(r"(?<![\w.:/\-])(?:/(?:work|home|root|Users|farm|mnt)/|[A-Z]:\\Users\\)\w")


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    assert MACHINE_PATH.search("open('/" + "home/me/photo.png')")
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # The checkout may belong to another user than the one who tests it.
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    names = listing.decode().split("\0")
    assert "pyproject.toml" in names
    found = []
    for path in (ROOT / name for name in names if name):
        content = path.read_bytes() if path.is_file() else b""
        if b"\0" in content:
            continue
        text = content.decode("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {hit[0]}" for hit in MACHINE_PATH.finditer(text)]
    assert not found


def test_test_modules_have_names_of_their_own() -> None:
    """Two of one name in different folders end the whole collection."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
