"""What the page's kernel runs: the studio, the one it had before if the page is only loaded again."""

from widgets.voila.kernel import show

show()
