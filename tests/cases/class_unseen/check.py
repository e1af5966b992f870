"""A class without a train example is told once, with counts."""

import sys
from pathlib import Path

lines = Path("output.txt").read_text().splitlines()
told = [line for line in lines if "has no example of ok" in line]
if told != ["rev: train (40 examples) has no example of ok; dev has 2"]:
    sys.exit(f"told {told} in: {lines[:5]}")
print(told[0])
