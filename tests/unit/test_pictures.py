"""Pictures in the documents are what their scripts draw from the recordings."""

import importlib.util
from pathlib import Path

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"


def test_the_picture_of_the_cbbi_is_drawn_from_the_newest_recording(recordings: Path) -> None:
    spec = importlib.util.spec_from_file_location("cbbi_picture", PICTURES / "cbbi.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    newest = max(recordings.glob("cbbi/latest_*.json.gz"))
    assert script.picture(newest) == (PICTURES / "cbbi.svg").read_text()
