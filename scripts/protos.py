"""Generates gen/ from proto/, lints the contracts and checks them against the committed baseline.

Usage: protos.py generate | check | baseline
`check` fails when gen/ is stale, when buf finds fault, or when a contract breaks against proto/baseline.binpb.
`baseline` renews that image; do it only on purpose, after a release.
"""

from __future__ import annotations

import filecmp
import importlib.resources
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
GEN = ROOT / "gen"
BASELINE = PROTO / "baseline.binpb"

# buf/validate/validate.proto is in no wheel, but its descriptor is: this module rebuilds it under the name that
# generated code imports.
VALIDATE_MODULE = '''"""buf.validate, rebuilt from the descriptor inside the installed protovalidate package."""

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, field_mask_pb2, timestamp_pb2
from google.protobuf.internal import builder
from protovalidate._gen.buf.validate import validate_pb

IMPORTS = (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2)  # the schema's own imports, loaded first
DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(validate_pb._DESC.proto.to_binary())
builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, "buf.validate.validate_pb2", globals())
'''


def tool(name: str) -> str:
    """The path of a program installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def sources() -> list[str]:
    """Every contract, relative to proto/."""
    return sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))


def includes(folder: Path) -> list[str]:
    """The protoc arguments that make every import resolvable."""
    validate = folder / "validate.binpb"
    files = descriptor_pb2.FileDescriptorSet()
    well_known = str(importlib.resources.files(grpc_tools) / "_proto")
    files.file.add().ParseFromString(validate_pb._DESC.proto.to_binary())
    validate.write_bytes(files.SerializeToString())
    return [f"-I{PROTO}", f"-I{well_known}", f"--descriptor_set_in={validate}"]


def run_protoc(folder: Path, *arguments: str) -> None:
    """Runs protoc over every contract; ends the program when it fails."""
    if protoc.main(["protoc", *includes(folder), *arguments, *sources()]) != 0:
        sys.exit("protoc failed; its messages stand above.")


def generate(target: Path) -> None:
    """Writes the whole generated tree to an empty folder."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        run_protoc(
            Path(scratch),
            f"--plugin=protoc-gen-mypy={tool('protoc-gen-mypy')}",
            f"--plugin=protoc-gen-mypy_grpc={tool('protoc-gen-mypy_grpc')}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
        )
    for config in sorted(PROTO.rglob("*_service_config.json")):
        shutil.copy(config, target / config.relative_to(PROTO))
    validate = target / "buf" / "validate" / "validate_pb2.py"
    validate.parent.mkdir(parents=True)
    validate.write_text(VALIDATE_MODULE)
    for path in target.rglob("*_grpc.py*"):
        if "_service" not in path.name:  # files without a service generate empty stubs
            path.unlink()


def image(path: Path) -> None:
    """Writes the image that buf reads."""
    with tempfile.TemporaryDirectory() as scratch:
        run_protoc(
            Path(scratch), "--include_imports", "--include_source_info", f"--descriptor_set_out={path}"
        )


def same_file(left: Path, right: Path) -> bool:
    """Whether both exist and hold the same bytes."""
    return left.is_file() and right.is_file() and filecmp.cmp(left, right, shallow=False)


def differences(left: Path, right: Path) -> list[str]:
    """Files that are not the same in both trees."""
    names = {str(p.relative_to(root)) for root in (left, right) for p in root.rglob("*") if p.is_file()}
    names = {name for name in names if "__pycache__" not in name}
    return sorted(name for name in names if not same_file(left / name, right / name))


def check() -> None:
    """Fails unless gen/ is fresh, the contracts are well-formed and nothing breaks against the baseline."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh, current = Path(scratch) / "gen", Path(scratch) / "image.binpb"
        generate(fresh)
        stale = differences(fresh, GEN)
        if stale:
            sys.exit(f"gen/ is stale, run `make proto`: {', '.join(stale)}")
        image(current)
        subprocess.run([tool("buf"), "lint", str(current), "--config", str(ROOT / "buf.yaml")], check=True)
        subprocess.run(
            [
                tool("buf"),
                "breaking",
                str(current),
                "--against",
                str(BASELINE),
                "--config",
                str(ROOT / "buf.yaml"),
            ],
            check=True,
        )
    print("contracts: gen/ is fresh, buf lint and buf breaking are clean")


def main() -> None:
    """Runs the verb named on the command line."""
    verbs = {"generate", "check", "baseline"}
    verb = sys.argv[1] if len(sys.argv) == 2 else ""
    if verb not in verbs:
        sys.exit(__doc__)
    if verb == "generate":
        shutil.rmtree(GEN, ignore_errors=True)
        generate(GEN)
    elif verb == "baseline":
        image(BASELINE)
    else:
        try:
            check()
        except subprocess.CalledProcessError as error:
            sys.exit(error.returncode)


if __name__ == "__main__":
    main()
