"""The audit of dependencies: fails for a known hole, passes where it is accepted, skips where nobody answers."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "audit.py"
# What the service of the Open Source Vulnerabilities project answers, for one package.
HOLE = {
    "id": "GHSA-test",
    "aliases": ["CVE-2099-1"],
    "summary": "a hole",
    "details": "a hole",
    "published": "2026-01-01T00:00:00Z",
    "modified": "2026-01-01T00:00:00Z",
    "schema_version": "1.6.0",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "holed"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_of_dependencies", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its records look themselves up
    spec.loader.exec_module(module)
    return module


class Service(BaseHTTPRequestHandler):
    """Answers that one package has a hole and all others have none."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        holed = asked["package"]["name"] == "holed" and asked["version"] == "1.0"
        answer = json.dumps({"vulns": [HOLE]} if holed else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def run(constraints: Path, words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"BOZZETTO_AUDIT_ARGS": words, "XDG_CACHE_HOME": str(constraints.parent)}
    environment = {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}
    return subprocess.run([sys.executable, SCRIPT, constraints], env=environment, capture_output=True, text=True)


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is None, reason="pip-audit is not installed")
@pytest.mark.parametrize(("version", "code"), [("1.0", 1), ("1.1", 0)])
def test_a_version_with_a_known_hole_fails(version: str, code: int, service: str, tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text(f"holed=={version}\nother==2.0\n")
    told = run(tmp_path / "constraints.txt", f"--vulnerability-service osv --osv-url {service}")
    assert told.returncode == code, told
    assert ("holed 1.0 has a known hole (CVE-2099-1, GHSA-test): take 1.1." in told.stdout) == bool(code)
    assert f"2 of 2 dependencies audited, {code} known holes, 0 accepted." in told.stdout


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is None, reason="pip-audit is not installed")
def test_where_nobody_answers_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("holed==1.0\n")
    told = run(tmp_path / "constraints.txt", "--vulnerability-service osv --osv-url http://127.0.0.1:9/v1/query")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == "Note: no advisory service could be reached; dependencies were not audited.\n"


def row(name: str, *holes: str) -> dict[str, object]:
    vulns = [{"id": hole, "aliases": [f"CVE-of-{hole}"], "fix_versions": []} for hole in holes]
    return {"name": name, "version": "1.0", "vulns": vulns}


def test_a_finding_is_accepted_by_any_of_its_names(audit: ModuleType) -> None:
    report = {"dependencies": [row("a", "X"), row("b"), row("c", "Y", "Z")]}
    assert audit.verdict(report, {})[1]
    assert audit.verdict(report, {"X": "why", "Y": "why"})[1]
    told, bad = audit.verdict(report, {"X": "why", "CVE-of-Y": "why", "Z": "why", "gone": "why"})
    assert not bad
    assert told[0].endswith("accepts gone, which is no longer found.")
    assert told[-1] == "3 of 3 dependencies audited, 0 known holes, 3 accepted."


def test_packages_that_nobody_knows_are_not_called_audited(audit: ModuleType) -> None:
    lost = [{"name": name, "skip_reason": "not found"} for name in "ab"]
    told, bad = audit.verdict({"dependencies": lost}, {})
    assert (len(told), bad) == (1, False)
    assert "not audited" in told[0]
    assert audit.verdict({"dependencies": [*lost, row("c")]}, {})[0] == [
        "1 of 3 dependencies audited, 0 known holes, 0 accepted."
    ]


def test_what_is_accepted_has_a_reason(audit: ModuleType) -> None:
    assert audit.read_accepted("# why not\n\nGHSA-1  is never called \n") == {"GHSA-1": "is never called"}
    with pytest.raises(ValueError, match="without a reason"):
        audit.read_accepted("GHSA-1\n")
    audit.read_accepted(audit.ACCEPTED.read_text("utf-8"))
