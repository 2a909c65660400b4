"""The environment that the suite runs in: the same whatever the user's shell and home folder set.

Tests start programs with what `os.environ` has, so all of it is made the same here, once, before any test module is read. What a
test needs beyond this it sets itself.
"""

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Mapping

# Variables that change what the project, or a program that tests start, does.
_PREFIXES = (
    "CRYPTOLIQ_",
    "DAGSTER_",
    "STREAMLIT_",
    "PROMETHEUS_",
    "UVICORN_",
    "PG",
    "GIT_",
    "XDG_",
    "LC_",
    "AWS_",
    "GOOGLE_",
)
_NAMES = {
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir", "netrc", "curl_home"),
    *("language", "columns", "lines", "no_color", "force_color", "clicolor", "clicolor_force", "tty_compatible"),
    *("pythonpath", "pythonwarnings", "pythonutf8", "pythonioencoding", "pythonoptimize", "pythonhashseed"),
    *("web_concurrency", "forwarded_allow_ips", "bash_env", "env", "cdpath", "tar_options", "gzip", "posixly_correct"),
}
# Where the real market data is: no part of what is tested.
_KEPT = {"CRYPTOLIQ_REAL_DATA"}
_SET = {"LANG": "C.UTF-8", "TZ": "UTC"}
_UMASK = 0o022


def neutral(environment: Mapping[str, str], *, home: str) -> dict[str, str]:
    """An environment without what a user may have set, with `home` as the home folder."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in _KEPT or not (name.startswith(_PREFIXES) or name.lower() in _NAMES)
    }
    return {**kept, **_SET, "HOME": home}


def neutralise() -> None:
    """Give this process, and all that it starts, the neutral environment, an empty home folder and the usual umask."""
    home = tempfile.mkdtemp(prefix="cryptoliq-tests-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    wanted = neutral(os.environ, home=home)
    os.environ.clear()
    os.environ.update(wanted)
    os.umask(_UMASK)
    time.tzset()
