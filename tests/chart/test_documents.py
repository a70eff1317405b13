"""What is written of the chart is true of it."""

from __future__ import annotations

from configparser import ConfigParser

import yaml

from hub.tools import CHECKOUT
from tests.chart.helm import CHART
from tests.chart.values import table, values

README = CHART / "README.md"


def test_the_chart_has_the_version_of_the_program():
    setup = ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == setup["metadata"]["version"]


def test_every_value_says_what_it_is():
    for value in values():
        assert value.comment.endswith("."), value.path


def test_every_value_is_in_the_readme():
    assert table() in README.read_text(), "take the output of: python -m tests.chart.values"


def test_no_file_of_the_chart_is_about_python():
    for file in CHART.rglob("*"):
        if file.is_file() and file.name != "README.md":
            assert "python" not in file.read_text().lower(), file
