"""Text as vectors, without a download: TF-IDF of words and runs of words, reduced by truncated SVD."""

import re
from dataclasses import dataclass
from functools import partial

from pinfold.features.config import TextColumn
from pinfold.features.terms import Terms, encode_terms, fit_terms
from pinfold.features.values import Encoded, Values, as_text

WORD = re.compile(r"\w\w+")
MOST_WORDS = 2_000  # of one text; what comes later is not read
MOST_CHARACTERS = 64 * MOST_WORDS  # of one text that are looked at
LONGEST_WORD = 64  # characters; a longer one is no word


@dataclass(frozen=True, slots=True)
class Texts:
    """A text column: which terms are known, and the longest run of words that is one."""

    terms: Terms
    ngrams: int

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return self.terms.dim


def fit_texts(config: TextColumn, values: Values, dim: int, seed: int) -> Texts | str:
    """An encoder fitted on these values, or why there is none."""
    texts = [as_text(value) for value in values.column]
    bag = partial(words, ngrams=config.ngrams)
    terms = fit_terms(texts, bag, config.min_df, config.max_terms, config.dim or dim, seed)
    return f"no term occurs in {config.min_df} or more of its texts" if terms is None else Texts(terms, config.ngrams)


def encode_texts(encoder: Texts, values: Values) -> Encoded:
    """Vectors of length 1 (n, D), zeros for texts without a known term."""
    texts = [as_text(value) for value in values.column]
    return encode_terms(encoder.terms, texts, partial(words, ngrams=encoder.ngrams))


def words(text: str, ngrams: int) -> list[str]:
    """The words of a text in lower case, and each run of up to `ngrams` of them with spaces between.

    A word is two or more letters, digits or underscores. Of one text the first 2,000 words within the first 128,000
    characters are read, and words of more than 64 characters are left out, so that a text of a megabyte costs no more
    than a long article does.
    """
    single = [word for word in WORD.findall(text[:MOST_CHARACTERS].lower()) if len(word) <= LONGEST_WORD][:MOST_WORDS]
    found = single.copy()
    for n in range(2, ngrams + 1):
        found += map(" ".join, zip(*(single[start:] for start in range(n)), strict=False))
    return found
