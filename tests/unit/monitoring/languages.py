"""Finds what a reader of the Chinese pages would have to read in English."""

import re
from html.parser import HTMLParser
from pathlib import Path

_HAN = re.compile(r"[一-鿿]")
_NAMES = re.compile(
    r"Kilowise|Evidently|English|AUC|Brier|PSI|XGBoost|Dagster|UTC|CNY|EN\b|°C|\b(?:kWh|kW|MB|GB|SD|ms|min|h)\b"
)
"""Names, units and codes that are the same in both languages."""
_WORD = re.compile(r"[A-Za-z]{2,}")
_SENTENCE = re.compile(r"(?:[A-Za-z]{2,}[ ,;]+){2}[A-Za-z]{2,}")
_WITHOUT_END = {"meta", "link", "br", "img", "input", "hr"}
_ATTRIBUTES = ("title", "aria-label", "alt", "placeholder")


class EnglishOnly(HTMLParser):
    """Collects the English of a page that has no Chinese beside it.

    English stands in an element of that language, and the next element is its Chinese. Everything else on a page is
    Chinese, a number, a name of code or data (``code`` and ``translate="no"``), or what a person wrote (``said``).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._english = ""
        self.feed(path.read_text(encoding="utf-8"))
        if self._english:
            self.found.append(f"without Chinese: {self._english}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        for name in _ATTRIBUTES:
            self._judge(values.get(name) or "", f"{name} of {tag}", is_attribute=True)
        if self._english and self._language() != "en":
            if values.get("lang") != "zh":
                self.found.append(f"without Chinese: {self._english}")
            self._english = ""
        if tag not in _WITHOUT_END:
            self._open.append((tag, values))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            continue

    def handle_data(self, data: str) -> None:
        text = data.strip()
        if not text or self._is_exempt():
            return
        if self._language() == "en":
            self._english = self._english or (text if _WORD.search(_NAMES.sub("", text)) else "")
        else:
            self._judge(text, "page", is_attribute=self._open[-1][0] == "title")

    def _judge(self, text: str, place: str, *, is_attribute: bool) -> None:
        rest = _NAMES.sub("", text)
        if is_attribute:
            is_english = bool(_WORD.search(rest)) and not _HAN.search(text) and not re.fullmatch(r"[a-z0-9_]+", text)
        else:
            is_english = bool((_SENTENCE if _HAN.search(text) or self._language() == "zh" else _WORD).search(rest))
        if is_english:
            self.found.append(f"{place}: {text}")

    def _language(self) -> str | None:
        return next((values["lang"] for _, values in reversed(self._open[1:]) if values.get("lang") is not None), None)

    def _is_exempt(self) -> bool:
        return any(
            tag in ("script", "style", "code", "pre")
            or values.get("translate") == "no"
            or "said" in (values.get("class") or "").split()
            for tag, values in self._open
        )


_CARD_NOTE = re.compile(r'<p class="note">(.*?)</p>', re.DOTALL)


def english_only(site: Path) -> dict[str, list[str]]:
    """Return what has no Chinese, by page; of model cards, which hold both languages at once, the prose."""
    found = {
        path.relative_to(site).as_posix(): prose_in_english(path)
        if path.name.startswith("model_card_")
        else EnglishOnly(path).found
        for path in sorted(site.rglob("*.html"))
    }
    return {name: texts for name, texts in found.items() if texts}


def prose_in_english(card: Path) -> list[str]:
    """Return the notes of a model card, below its figures and tables, that stand there without Chinese."""
    notes = _CARD_NOTE.findall(card.read_text(encoding="utf-8"))
    return [note for note in notes if _SENTENCE.search(_NAMES.sub("", note)) and not _HAN.search(note)]
