"""What the page's kernel runs: the studio, on the model that the server was started with."""

import os

from widgets.studio import page

page(os.environ.get("SURGERY_MODEL") or None)
