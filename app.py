"""The studio from a checkout: `python app.py [MODEL] [--port P] [--no-browser]`, as `surgery app` has it."""

import sys

from widgets.server import main

if __name__ == "__main__":
    sys.exit(main())
