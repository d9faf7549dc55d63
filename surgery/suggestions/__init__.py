"""Which edit to make next: a ranked list, from what sweeps measured and what advisers say."""

from surgery.suggestions.advised import Advised
from surgery.suggestions.suggesting import suggestions
from surgery.suggestions.suggestion import Suggestion, Suggestions

__all__ = ["Advised", "Suggestion", "Suggestions", "suggestions"]
