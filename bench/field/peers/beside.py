"""`beside.py PROGRAM ARGUMENTS`: a program that is installed beside this interpreter.

It runs in the peers' environment, so it imports nothing of the benchmark.
"""

import os
import sys
from pathlib import Path

program = Path(sys.executable).with_name(sys.argv[1])
os.execv(program, [str(program), *sys.argv[2:]])
