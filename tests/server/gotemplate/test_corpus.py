"""Templates give what Alertmanager makes of them; the corpus was printed by amtool itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mirante.server.notify.templates import Templates
from tests.peers import program
from tests.server.gotemplate.corpus import HTML, TEXT
from tests.server.gotemplate.data import EXTERNAL_URL, HTML_PARTS, NOTIFICATION, TEXT_PARTS

TEMPLATES = Templates((), EXTERNAL_URL)
DATA = TEMPLATES.data(NOTIFICATION)
BETWEEN = "\n\x1f\n"


@pytest.mark.parametrize(("template", "expected"), TEXT)
def test_text(template: str, expected: str) -> None:
    """Actions, functions and Go's printing in plain text."""
    assert TEMPLATES.render(TEXT_PARTS + template, DATA) == expected


@pytest.mark.parametrize(("template", "expected"), HTML)
def test_html(template: str, expected: str) -> None:
    """Values are escaped for the place where they stand."""
    assert TEMPLATES.render(HTML_PARTS + template, DATA, html=True) == expected


def amtool(template: str, kind: str, folder: Path) -> str:
    """What amtool makes of a template with the same data."""
    data = folder / "data.json"
    data.write_text(TEMPLATES.text("{{ toJson . }}", DATA))
    command = [program("amtool"), "template", "render", "--template.glob=/nowhere/*", f"--template.type={kind}"]
    ran = subprocess.run(
        [*command, f"--template.text={template}", f"--template.data={data}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ran.stdout


@pytest.mark.slow
def test_amtool_agrees(tmp_path: Path) -> None:
    """The corpus is what the real program prints, all text templates in one run."""
    joined = TEXT_PARTS + BETWEEN.join(f"{{{{ with $ }}}}{template}{{{{ end }}}}" for template, _ in TEXT)
    assert amtool(joined, "text", tmp_path).split(BETWEEN) == [expected for _, expected in TEXT]


@pytest.mark.slow
def test_amtool_escapes_the_same(tmp_path: Path) -> None:
    """The same for HTML; templates that leave a tag open stand alone."""
    whole = [(template, expected) for template, expected in HTML if expected.rstrip()[-1:] != ">" or "</" in expected]
    joined = HTML_PARTS + BETWEEN.join(template for template, _ in whole)
    assert amtool(joined, "html", tmp_path).split(BETWEEN) == [expected for _, expected in whole]
