"""`python -m surgery.cli`."""

from surgery.cli.process import run

if __name__ == "__main__":
    run()
