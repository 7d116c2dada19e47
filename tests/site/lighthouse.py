"""Lighthouse's scores of every page of the built site, on a desk and on a phone.

``make lighthouse`` runs it; ``--page NAME`` chooses pages, ``--least PERFORMANCE`` makes it fail.
"""

import argparse
import functools
import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from pages import PAGES, ROOT, SITE
from reader import BROWSERS

PROGRAM = ROOT / "_build/node/node_modules/.bin/lighthouse"
SORTS = {"performance": "perf", "accessibility": "a11y", "best-practices": "best", "seo": "seo"}
GOALS = {"desktop": 90, "mobile": 60}  # of performance; the other three are 100
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage"


class Compressed(SimpleHTTPRequestHandler):
    """A web server as sites have one: text is sent gzipped, and nothing is logged."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send a file."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        body, kind = path.read_bytes(), self.guess_type(str(path))
        self.send_response(200)
        if kind.startswith(("text/", "image/svg")) or kind.endswith(("javascript", "json")):
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(body)
        return None


def measure(url: str, form: str) -> dict[str, Any]:
    """Lighthouse's report of one page on a ``desktop`` or a ``mobile``."""
    command = [str(PROGRAM), url, "--quiet", "--output=json", f"--chrome-flags={FLAGS}"]
    command += [f"--only-categories={','.join(SORTS)}"]
    command += ["--preset=desktop"] if form == "desktop" else []
    browser = next(filter(None, map(shutil.which, BROWSERS)), "")
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "CHROME_PATH": browser}
    )
    if done.returncode:
        sys.exit(done.stderr.strip() or f"lighthouse ended with {done.returncode}")
    return json.loads(done.stdout)


def faults(report: dict[str, Any]) -> list[str]:
    """The audits other than performance's that a page does not pass, with what is at fault."""
    found = []
    for sort in list(SORTS)[1:]:
        for entry in report["categories"][sort]["auditRefs"]:
            audit = report["audits"][entry["id"]]
            if entry["weight"] and audit["score"] is not None and audit["score"] < 1:
                items = audit.get("details", {}).get("items", [])
                node = next((i["node"]["snippet"] for i in items if "node" in i), "")
                found.append(f"{audit['id']} {node[:100]}")
    return found


def main() -> None:
    """Print a line for each page and form; fail where a score is under its goal."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--page", nargs="*", default=[*PAGES, "search"])
    options.add_argument("--site", type=Path, default=SITE)
    chosen = options.parse_args()
    handler = functools.partial(Compressed, directory=str(chosen.site))
    under = []
    print(f"{'page':30} {'':8} {' '.join(f'{word:>5}' for word in SORTS.values())}    kB")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for page in chosen.page:
            for form, goal in GOALS.items():
                report = measure(f"http://127.0.0.1:{server.server_port}/{page}.html", form)
                scores = [round(100 * report["categories"][s]["score"]) for s in SORTS]
                weight = report["audits"]["total-byte-weight"]["numericValue"] / 1000
                row = " ".join(f"{score:5}" for score in scores)
                print(f"{page:30} {form:8} {row} {weight:5.0f}", flush=True)
                low = faults(report)
                low += [f"performance {scores[0]} < {goal}"] if scores[0] < goal else []
                under += [f"{page}, {form}: {fault}" for fault in low]
        server.shutdown()
    sys.exit("\n".join(under) or 0)


if __name__ == "__main__":
    main()
