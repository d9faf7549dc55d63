"""The studio from a checkout: `python app.py [MODEL] [--script S] [--port P] …`, as `surgery app` has it."""

import sys

from widgets.server import main

if __name__ == "__main__":
    sys.exit(main())
