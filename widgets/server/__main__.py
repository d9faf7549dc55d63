"""`python -m widgets.server`: the same as `surgery app`."""

import sys

from widgets.server import main

if __name__ == "__main__":
    sys.exit(main())
