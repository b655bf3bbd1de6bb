"""Web pages as tests read them: their elements, and the rows of their tables."""

from html.parser import HTMLParser

VOID = {"meta", "img", "wbr", "br"}


class Parsed(HTMLParser):
    """The elements of a page in order, each with its attributes and all text inside; fails where tags do not pair."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens an element."""
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self._open.append(len(self.elements))
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        """Closes the innermost element."""
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        """Counts as text of every element that is open."""
        for index in self._open:
            self.elements[index][2].append(data)

    def texts(self, tag: str, kind: str | None = None) -> list[str]:
        """The text inside each element of the tag, and of the class where one is given."""
        chosen = [(attrs, text) for name, attrs, text in self.elements if name == tag]
        return ["".join(text) for attrs, text in chosen if kind is None or kind in (attrs.get("class") or "").split()]

    def attributes(self, name: str) -> list[str]:
        """The attribute of every element that has it."""
        return [value or "" for _, attrs, _ in self.elements for key, value in attrs.items() if key == name]


def rows(text: str, table: int) -> list[dict[str, str]]:
    """The rows of one of the page's tables by header."""
    parsed = Parsed("<table>" + text.split("<table")[1 + table].partition(">")[2].partition("</table>")[0] + "</table>")
    heads, cells = parsed.texts("th"), parsed.texts("td")
    return [dict(zip(heads, cells[at : at + len(heads)], strict=True)) for at in range(0, len(cells), len(heads))]
