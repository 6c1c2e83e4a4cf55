"""Take what the labs need of ONNX Runtime Web: the module and the program for one thread on a processor.

    python tools/onnxruntime_web.py            # fetches onnxruntime-web with `npm pack`
    python tools/onnxruntime_web.py FOLDER     # takes onnxruntime-web-1.30.0.tgz from FOLDER

Writes ``book/_ext/vendor/onnxruntime-web/``: the two files, the larger one packed by gzip as the site hands it out, and
ORIGIN.json with what npm says of the package and with the sha256 of both files before packing. The package carries no
licence text of its own; LICENSE there is the MIT licence that its package.json names, with Microsoft's notice.
"""

import base64
import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from bookkit.files import write_bytes, write_text

TARGET = Path(__file__).resolve().parents[1] / "book" / "_ext" / "vendor" / "onnxruntime-web"
VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
FILES = {"ort.wasm.bundle.min.mjs": "dist/ort.wasm.bundle.min.mjs",
         "ort-wasm-simd-threaded.wasm.gz": "dist/ort-wasm-simd-threaded.wasm"}  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        if len(sys.argv) == 1:
            subprocess.run(["npm", "pack", f"onnxruntime-web@{VERSION}"], cwd=folder, check=True)
        package = folder / f"onnxruntime-web-{VERSION}.tgz"
        found = "sha512-" + base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            sys.exit(f"onnxruntime_web: {package.name} has {found}, expected {INTEGRITY}")
        with tarfile.open(package) as archive:
            contents = {name: archive.extractfile(f"package/{path}").read() for name, path in FILES.items()}
    origin = {"package": "onnxruntime-web", "version": VERSION, "licence": "MIT", "registry": "npm",
              "integrity": INTEGRITY, "files": {}}  # fmt: skip
    for name, content in contents.items():
        packed = name.endswith(".gz")
        record = {"from": FILES[name], "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        origin["files"][name] = record | ({"packed": "gzip"} if packed else {})
        write_bytes(TARGET / name, gzip.compress(content, 9, mtime=0) if packed else content)
    write_text(TARGET / "ORIGIN.json", json.dumps(origin, indent=1) + "\n")


if __name__ == "__main__":
    main()
