"""Common passwords: a short list of words and their usual variations.

No list of this size stops an attacker with a breach corpus; it stops the few guesses that the log-in's limits allow.
"""

from __future__ import annotations

import re
import unicodedata

_LEET = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a", "$": "s", "!": "i"}
)

# The most frequent words in breach corpora, alone or with digits and signs around them.
_WORDS = frozenset(
    """
    abc abcabc abcd abcdef abcdefgh access account admin administrator alexander amanda andrea andrew angel animal
    anthony apple arsenal asdf asdfasdf asdfgh asdfghjk asdfghjkl ashley banana barcelona baseball basketball
    batman beautiful blink brandon buster butterfly changeit changeme charlie cheese chelsea chocolate chris
    christian computer cookie correcthorsebatterystaple daniel default donald dragon elizabeth eminem family
    flower football freedom friend friends fuckoff fuckyou gabriel george ginger google guest hannah harley hello
    helloworld hockey hottie hunter iloveyou internet ironman jasmine jennifer jessica jordan joshua justin killer
    letmein letmeinnow liverpool login london lovely loveme lover loveyou maggie manchester master matthew mercato
    michael michelle minecraft monday monkey mother mustang naruto nicole ninja nothing october orange passphrase
    passport passw passwd password passwordpassword passwort pepper pokemon princess purple qazwsx qazwsxedc qwer
    qwerasdf qwert qwerty qwertyqwerty qwertyu qwertyui qwertyuio qwertyuiop qwertz qwertzuiop rachel rainbow
    ranger robert root samantha samsung scooter secret secretpassword server shadow shopping silver slipknot
    snoopy soccer sophie spiderman spring starwars steelers stephanie summer summertime sunday sunshine superman
    superstar taylor temporary test testing testtest thomas tigger trustno unknown user victoria welcome
    welcomehome whatever whoever william winter yankees yellow zaq zaqwsx zaqxsw zxcv zxcvbn zxcvbnm
    """.split()  # noqa: SIM905  a list to read
)
_RUNS = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "1q2w3e4r5t6y7u8i9o0p")
_KEYS = ("1qaz2wsx3edc4rfv5tgb6yhn7ujm", "qazwsxedcrfvtgbyhnujm", "zaq12wsxcde34rfv", "1qazxsw23edcvfr4")
_SHORTEST_OWN_WORD = 4


def is_common(password: str, *own_words: str) -> bool:
    """`own_words` are the user's own: the name, the address."""
    text = unicodedata.normalize("NFKC", password).casefold()
    plain = re.sub(r"\s+", "", text)
    return _repeats(plain) or _runs(plain) or _is_word(plain) or _is_own(plain, own_words)


def _repeats(text: str) -> bool:
    """One to four characters repeated: aaaaaaaaaa, 1212121212, abcabcabca."""
    return any(text == (text[:size] * len(text))[: len(text)] for size in range(1, 5))


def _runs(text: str) -> bool:
    """A sequence of the alphabet, the digits or the keyboard, forwards or backwards."""
    lines = (*_RUNS, *_KEYS)
    return any(text in line or text in line[::-1] for line in lines)


def _is_word(text: str) -> bool:
    return any(form in _WORDS for form in _forms(text))


def _is_own(text: str, own_words: tuple[str, ...]) -> bool:
    own = {part for word in own_words for part in re.split(r"[^\w]+", word.casefold()) if part}
    whole = {re.sub(r"[^\w]+", "", word.casefold()) for word in own_words}
    known = {word for word in own | whole if len(word) >= _SHORTEST_OWN_WORD}
    return any(form in known for form in _forms(text))


def _forms(text: str) -> set[str]:
    """The words that the text may contain: without digits and signs at its ends, digits as letters, not doubled."""
    found = {text, re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)}
    found |= {re.sub(r"[\W\d_]+$", "", text).translate(_LEET), text.translate(_LEET)}
    found |= {re.sub(r"[\W_\d]+", "", form) for form in found}
    halves = {form[: len(form) // 2] for form in found if form and form == form[: len(form) // 2] * 2}
    return (found | halves) - {""}
