"""`python -m cryptoliq_assets`: the command line."""

from cryptoliq_assets.cli import script

if __name__ == "__main__":
    script()
