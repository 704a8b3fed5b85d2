"""Which language a text is in, for filters: by script, then by the commonest small words. Nothing is learned here.

Thirty-two languages are told apart; a text in another one, or of fewer than four words in a shared script, has none.
"""

from __future__ import annotations

import re
from collections import Counter

MIN_WORDS = 4  # with fewer, loan words and names decide
MIN_SHARE = 0.08  # of the words that must be small words of the language; running text has 0.25 and more
MAX_CHARS = 2_000  # read of a text; more does not change the answer

_SCRIPTS = {
    "ja": "\u3040-\u30ff",
    "ko": "\uac00-\ud7af\u1100-\u11ff",
    "zh": "\u4e00-\u9fff\u3400-\u4dbf",
    "th": "\u0e00-\u0e7f",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "he": "\u0590-\u05ff",
    "hi": "\u0900-\u097f",
    "bn": "\u0980-\u09ff",
    "ta": "\u0b80-\u0bff",
    "te": "\u0c00-\u0c7f",
    "ka": "\u10a0-\u10ff",
    "hy": "\u0530-\u058f",
    "am": "\u1200-\u137f",
    "km": "\u1780-\u17ff",
    "cyrillic": "\u0400-\u04ff",
    "arabic": "\u0600-\u06ff",
    "latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
}
_SHARED = {"latin", "cyrillic", "arabic"}
_PATTERNS = {name: re.compile(f"[{signs}]") for name, signs in _SCRIPTS.items()}
_WORD = re.compile(r"[^\W\d_]+")

_SMALL = {
    "en": "the of and to in is that it for was on are with as at be this have from or by not you we",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden",
    "fr": "de la le et les des en un du une que est pour qui dans par plus pas au sur ne se ce il sont avec",
    "es": "de la que el en y a los del se las por un para con no una su al lo como más pero sus es",
    "it": "di e che la il un a per è in una sono della con non del si da le dei nel alla più come ma",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao",
    "nl": "de van het een en in is dat op te zijn voor met die niet aan er om ook als maar bij wordt",
    "sv": "och i att det som en på är av för med den till inte om ett har de jag var från",
    "da": "og i at det er en til af på som med de for den ikke der et har var jeg fra blev",
    "no": "og i det er på en som til av for med at ikke et jeg var den har de fra ble",
    "fi": "ja on ei se että hän oli ovat kun mutta niin tai myös joka minä sen ole kuin mukaan",
    "pl": "w i na z się do nie to że jest o jak od po za przez ale co dla tym są jego",
    "cs": "a v se na je že s z do o to i za by ale pro jsou jako jeho byl také nebo",
    "sk": "a v sa na je že s z do o to aj za by ale pre sú ako jeho bol tiež alebo",
    "hu": "a az és hogy nem is egy meg ez van volt csak de már mint ha ki azt még vagy",
    "ro": "și de în a la că nu cu un o pe este din care mai pentru se sau fi prin au",
    "tr": "ve bir bu da de için ile çok daha olarak ne gibi olan en var ama kadar sonra değil",
    "id": "yang dan di ini itu dengan untuk dari tidak pada dalam adalah akan ke juga ada saya oleh",
    "vi": "và của là có không được các cho một người trong này với những đã khi từ để ra",
    "sw": "na ya wa kwa ni katika za la kuwa hii yake alikuwa cha hiyo kama sana lakini mtu",
    "hr": "i u je se na da za su od a s o kao koji što ali to nije bio ili te",
    "ru": "и в не на что с он я как по это но из у за от она для так все был мы",
    "uk": "і в не на що з та як до це але він у за від я для так був її які",
    "bg": "и на в да се не за от с по че са е като това но той при след което",
    "ar": "في من على أن إلى هذا عن مع التي ما لا كان هذه و الذي هو بين كل",
    "fa": "و در به از که این است را با برای آن یک می شد بود تا بر هم",
    "ur": "کے میں کی ہے اور سے کا کو اس پر نے کہ یہ ہیں ایک تھا بھی",
}
_SCRIPT_OF = {**dict.fromkeys(("ru", "uk", "bg"), "cyrillic"), **dict.fromkeys(("ar", "fa", "ur"), "arabic")}
_WORDS = {name: frozenset(words.split()) for name, words in _SMALL.items()}


def detect(text: str) -> str | None:
    """ISO 639 code of the language, None where it cannot be told."""
    piece = text[:MAX_CHARS]
    signs = {name: len(pattern.findall(piece)) for name, pattern in _PATTERNS.items()}
    script = max(signs, key=lambda name: signs[name])
    if signs["ja"] and signs["ja"] * 10 >= signs["zh"]:  # Japanese is mostly kana, but names and titles may be few
        script = "ja" if signs["ja"] + signs["zh"] >= signs[script] else script
    if not signs[script]:
        return None
    return _by_words(piece, script) if script in _SHARED else script


def _by_words(text: str, script: str) -> str | None:
    found = Counter(word.casefold() for word in _WORD.findall(text))
    total = found.total()
    if total < MIN_WORDS:
        return None
    shares = {
        name: sum(found[word] for word in words) / total
        for name, words in _WORDS.items()
        if _SCRIPT_OF.get(name, "latin") == script
    }
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= MIN_SHARE else None
