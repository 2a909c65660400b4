"""Settings of alert channels, and what they leave in the data directory."""

import json
from pathlib import Path

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets_tests.support.settings import make_settings


def make_alert_settings(tmp_path: Path, *urls: str, **options: object) -> Settings:
    """Make settings of a data directory below a folder that has these channels."""
    return make_settings(
        home_dir=tmp_path / "home", alerts__urls=" ".join(urls) or None, alerts__send_timeout_seconds=5, **options
    )


def app_log(settings: Settings) -> list[dict]:
    """Return the lines of logs/app.log, none if there is no file."""
    path = settings.logs_dir / "app.log"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def all_text_below(folder: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())
