"""The unprivileged user to which tests run by root switch."""

import os
import shutil

# The ID of the user in the images.
UNPRIVILEGED_ID = 10001


def run_unprivileged() -> list[str]:
    """Return the prefix of a command line that runs as this user; empty if the test is not run by root."""
    if os.geteuid():
        return []
    return [
        shutil.which("setpriv"),
        f"--reuid={UNPRIVILEGED_ID}",
        f"--regid={UNPRIVILEGED_ID}",
        "--clear-groups",
        "--no-new-privs",
    ]
