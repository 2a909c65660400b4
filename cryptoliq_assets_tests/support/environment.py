"""The environment of the suite, independent of the shell and home folder of the user.

Tests start programs with `os.environ`, so it is made uniform here, once, before any test module is imported. A test sets
other variables itself.
"""

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Mapping

# Variables that change the behaviour of the project or of programs that tests start.
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
    # Without compiled files, each process compiles the package again.
    "pythondontwritebytecode",
    *("web_concurrency", "forwarded_allow_ips", "bash_env", "env", "cdpath", "tar_options", "gzip", "posixly_correct"),
}
# The folder of real market data: not part of the tested behaviour.
_PRESERVED = {"CRYPTOLIQ_REAL_DATA"}
_SET = {"LANG": "C.UTF-8", "TZ": "UTC"}
_UMASK = 0o022


def neutral(environment: Mapping[str, str], *, home: str) -> dict[str, str]:
    """Return an environment without variables that a user may have set, with `home` as the home folder."""
    remaining = {
        name: value
        for name, value in environment.items()
        if name in _PRESERVED or not (name.startswith(_PREFIXES) or name.lower() in _NAMES)
    }
    return {**remaining, **_SET, "HOME": home}


def neutralise() -> None:
    """Give this process and its children the neutral environment, an empty home folder and the default umask."""
    home = tempfile.mkdtemp(prefix="cryptoliq-tests-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    environment = neutral(os.environ, home=home)
    os.environ.clear()
    os.environ.update(environment)
    os.umask(_UMASK)
    time.tzset()
