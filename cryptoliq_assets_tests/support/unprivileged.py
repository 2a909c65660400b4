"""A user without privileges, whom a test that root runs becomes."""

import os
import shutil

# The number of the image's own user.
PLAIN = 10001


def plainly() -> list[str]:
    """What a command line begins with to be run by such a user; nothing where the test has no privileges itself."""
    if os.geteuid():
        return []
    return [shutil.which("setpriv"), f"--reuid={PLAIN}", f"--regid={PLAIN}", "--clear-groups", "--no-new-privs"]
