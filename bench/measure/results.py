"""Result files: what was measured, where and how, written as JSON and read back."""

import dataclasses
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measure.gate import Gate
from bench.measure.rounds import Row, summarize
from bench.measure.sample import Sample
from bench.plan import HERE

FORMAT = 4
FOLDER = HERE / "results"
NAME = "result.json"


@dataclass(frozen=True)
class Result:
    """One run. `machine` is what bench/measure/machine.py has found; `samples` are in the order of their measurement.

    `gates` say how the servers fared at the gate before it, those that had to pass it.
    """

    machine: dict[str, Any]
    samples: list[Sample]
    gates: list[Gate] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        return summarize(self.samples)

    @property
    def failing(self) -> frozenset[str]:
        """The servers that have not passed the gate."""
        return frozenset(gate.server for gate in self.gates if not gate.passed)


def default_path(machine: Mapping[str, Any]) -> Path:
    """bench/results/<date>-<machine>/result.json, the machine by its CPU and the number of them."""
    model = re.sub(r"[^a-z0-9]+", "-", str(machine["cpu"]).lower()).strip("-")
    return FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}-{model}-{machine['cpus']}" / NAME


def write_result(path: Path, result: Result) -> Path:
    """The samples, and for other readers the medians that are made of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT,
        "machine": result.machine,
        "gates": [dataclasses.asdict(gate) for gate in result.gates],
        "rows": [dataclasses.asdict(row) for row in result.rows],
        "samples": [dataclasses.asdict(sample) for sample in result.samples],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def read_result(path: Path) -> Result:
    """Raises ValueError for a file that is not there, not a result, or of another format."""
    try:
        content = json.loads(path.read_text())
        found = content.get("format", 1)
        if found != FORMAT:
            raise ValueError(f"{path}: format {found}, and this is the reader of format {FORMAT}: measure anew")
        samples = [Sample(**sample) for sample in content["samples"]]
        return Result(content["machine"], samples, [Gate(**gate) for gate in content["gates"]])
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: name the {NAME} of a run") from error
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the result of a run: {error}") from error
