"""Each folder works as it is typed, or one line shows a quoted form that works in bash."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

START = "mtl-train --config-dir=mine +task@task.rev=rev suite.tasks=[rev] suite.name=mine"


def recorded(folder: str) -> str:
    """The data folder of a dry run, as its config has it."""
    text = (Path(folder) / ".hydra" / "config.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["data_dir"]


def problem(name: str, lines: list[str]) -> str | None:
    """What is wrong with the output for a folder."""
    if lines[-1].split() == ["plan.json", "run"]:
        return None
    if len(lines) != 1 or not lines[0].startswith("mtl-train: data_dir: found "):
        return f"no message of one line about data_dir: {lines}"
    # The words of the command that the message shows.
    shown = re.search(r"""(?:'data_dir=|"data_dir=).*""", lines[0])
    if shown is None:
        return f"no quoted form: {lines[0]}"
    script = f"{START} hydra.run.dir='again {name.encode().hex()}' dry_run=true {shown[0]}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    if done.returncode:
        return f"the form shown fails: {shown[0]}: {done.stderr.strip()}"
    path = recorded(f"again {name.encode().hex()}")
    return None if Path(path).name == name and Path(path).is_dir() else f"read as {path}"


printed = Path("output.txt").read_text(encoding="utf-8")
blocks = re.split(r"^--- (.*)\n", printed, flags=re.MULTILINE)[1:]
names, texts = blocks[::2], blocks[1::2]
problems = {
    name: found
    for name, text in zip(names, texts, strict=True)
    if (found := problem(name, text.strip().splitlines()))
}
if len(names) != 16:
    sys.exit(f"{len(names)} folders of 16 in the output")
if problems:
    name, found = next(iter(problems.items()))
    sys.exit(f"{len(problems)} of 16 folders: {name}: {found}")
if recorded("run") != r"C:\Users\me\data":
    sys.exit(f"the folder of Windows became {recorded('run')}")
print("16 folders work or have a quoted form that works; C:\\Users\\me\\data is kept")
