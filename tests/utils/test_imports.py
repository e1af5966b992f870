"""Small modules that start without torch, which takes seconds to import."""

import subprocess
import sys

LIGHT = ("nested", "files", "logging", "environment", "progress", "locks")


def test_light_modules_import_no_torch():
    code = "".join(f"import mtl_sharing.utils.{name}\n" for name in LIGHT)
    code += "import sys; assert 'torch' not in sys.modules"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
