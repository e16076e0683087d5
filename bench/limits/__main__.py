"""Print the limits of this CPU as JSON."""

from __future__ import annotations

import subprocess

from bench.limits import build

subprocess.run([build()], check=True)
