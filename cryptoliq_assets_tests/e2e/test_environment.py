"""The result of the suite does not depend on the shell of the user or on installed programs."""

import os
import subprocess
import sys
import time

from cryptoliq_assets_tests.support.environment import neutral
from cryptoliq_assets_tests.support.paths import ROOT

HOSTILE = {
    "CRYPTOLIQ_INGESTION__MAX_REJECTED_FRACTION": "0",
    "CRYPTOLIQ_COINGECKO__TOP_N": "none",
    "DAGSTER_HOME": "/nowhere",
    "http_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "PGPORT": "1",
    "GIT_DIR": "/nowhere",
    "LC_ALL": "tr_TR.UTF-8",
    "COLUMNS": "20",
    "FORCE_COLOR": "1",
    "PYTHONWARNINGS": "error",
}


def test_variables_of_the_user_do_not_reach_the_tests():
    assert neutral(HOSTILE | {"PATH": "/bin", "LANG": "C", "TZ": "Asia/Tokyo", "HOME": "/root"}, home="/h") == {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": "/h",
    }
    assert not {name for name in os.environ if name.startswith(("CRYPTOLIQ_", "DAGSTER_"))} - {"CRYPTOLIQ_REAL_DATA"}
    assert (time.tzname[0], os.environ["LANG"]) == ("UTC", "C.UTF-8")


def test_tests_pass_in_a_shell_with_unusual_settings(tmp_path):
    (tmp_path / ".netrc").write_text("default login nobody password wrong\n", encoding="utf-8")
    (tmp_path / ".gitconfig").write_text("[core\n", encoding="utf-8")
    selected = (
        "integration/ingestion/test_coingecko_client.py::test_an_unknown_id_has_its_own_error",
        "integration/cli/test_file_permissions.py",
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-x"]
        + [f"cryptoliq_assets_tests/{name}" for name in selected],
        cwd=ROOT,
        env={**os.environ, **HOSTILE, "TZ": "Pacific/Kiritimati", "HOME": str(tmp_path)},
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
