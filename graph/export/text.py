"""Names as text: what a name is made of never steers the terminal, page or file it is shown in."""


def visible(text: str) -> str:
    r"""`text` with every character that isn't printable written as an escape: `\n`, `\x1b`, `\u202e`.

    That is control characters, line and paragraph separators, what turns the direction of writing,
    and lone surrogates. Letters of any script stay.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else escaped(char) for char in text)


def escaped(char: str) -> str:
    r"""One character as Python writes it in ASCII: `\n`, `\x00`, `\ud800`."""
    return char.encode("unicode_escape").decode()


def shortened(text: str, most: int = 80) -> str:
    """At most `most` characters of `text`, with `…` in its middle where some are left out."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"
