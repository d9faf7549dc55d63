"""The one error type: a sentence that names the path, what was found, what fits and the way out."""


class SurgeryError(Exception):
    """An operation, script, file or evaluation was refused; nothing was changed.

    Its text is always *path: problem; got X, expected Y. Try: hint.*, with the parts that apply.
    The parts stay available as attributes, since the studio shows them at the node concerned.
    """

    __module__ = "surgery"  # the name it is imported by

    def __init__(
        self,
        problem: str,
        *,
        path: str | None = None,
        got: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        self.problem, self.path, self.got, self.expected, self.hint = problem, path, got, expected, hint
        super().__init__(self.sentence())

    def sentence(self, *, with_hint: bool = True) -> str:
        """The message on one line; screens that show the hint apart leave it out here."""
        parts = [f"got {self.got}"] if self.got is not None else []
        parts += [f"expected {self.expected}"] if self.expected is not None else []
        text = f"{self.path}: {self.problem}" if self.path else self.problem
        text += f"; {', '.join(parts)}" if parts else ""
        text += "" if text.endswith((".", "!", "?")) else "."
        if not self.hint or not with_hint:
            return text
        return f"{text} Try: {self.hint}" + ("" if self.hint.endswith((".", "`", ")")) else ".")


class SurgeryWarning(UserWarning):
    """Something a person should know that refuses nothing."""
