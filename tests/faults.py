"""What `make faults` shows: of every fault that a test marked `fault` tries, how often it was survived.

A pytest plugin. A test that tries several times says so with record_property("exit codes", {code: times}), and one
of wrong input with record_property("answer", (what was typed, what was answered)).
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

TABLE = Path("outputs", "faults.md")


class Faults:
    """Gathers from the tests' reports, by the fault that they name."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.codes: dict[str, Counter[int]] = defaultdict(Counter)
        self.answers: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note in each test which fault it tries, for a report knows no markers."""
        for item in items:
            if marker := item.get_closest_marker("fault"):
                item.user_properties.append(("fault", marker.args[0]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test that has run, and one that could not be prepared as not survived.

        What fails has survived none of its tries, for it is the end that shows whether it has.
        """
        if report.when != "call" and report.passed:
            return
        found: dict[str, Any] = dict(report.user_properties)
        codes = Counter[int](found.get("exit codes", {}))
        tries, fault = codes.total() or 1, found["fault"]
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped[fault] += 1
            return
        self.tries[fault] += tries
        self.survived[fault] += tries * report.passed
        self.codes[fault] += codes
        if "answer" in found:
            typed, answer = found["answer"]
            self.answers[typed] = answer

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the table and the answers, and show the table."""
        lines = ["| fault | tries | survived | skipped tests | exit codes |", "|---|---|---|---|---|"]
        for fault in dict.fromkeys([*self.tries, *self.skipped]):
            codes = ", ".join(f"{code} ({times})" for code, times in sorted(self.codes[fault].items()))
            counts = (self.tries[fault], self.survived[fault], self.skipped[fault])
            lines.append(f"| {fault} | {' | '.join(map(str, counts))} | {codes} |")
        answers = [f"- `{typed}`  \n  {answer}" for typed, answer in self.answers.items()]
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text("\n".join([*lines, "", *answers, ""]))
        terminalreporter.write("\n".join(["", *lines, f"The {len(answers)} answers to wrong input: {TABLE}", ""]))


def pytest_configure(config: pytest.Config) -> None:
    """Gather."""
    config.pluginmanager.register(Faults())
