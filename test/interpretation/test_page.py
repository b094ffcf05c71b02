"""The page stands alone and says what it is given, whatever that holds."""

import base64
import re
from html.parser import HTMLParser

import pytest

from stn_ros.interpretation.page import Figure, Section, Table, render, write

PNG = b"\x89PNG not really"


class _Reader(HTMLParser):
    """Tags in order, texts, and whether every tag that was opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.texts, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def _page(wrong=()):
    section = Section(
        "Theta & grid",
        ["`a < b` holds"],
        [Figure(PNG, "Look <here>"), Table(["name", "r"], [["rotation", "0.9"]], "Look there")],
    )
    return render("A <title>", "Said.", wrong, "spikes", [("seed", "7")], [section])


def test_the_page_is_whole_and_asks_nothing_of_anybody():
    reader = _Reader()
    reader.feed(_page())
    assert not reader.open
    assert "script" not in reader.tags
    assert reader.links == ["data:image/png;base64," + base64.b64encode(PNG).decode()]
    assert not re.search(r"https?://|url\(|@import", _page())
    assert "default-src 'none'" in _page()


def test_what_it_is_given_is_shown_as_it_is():
    reader = _Reader()
    reader.feed(_page())
    said = " ".join(reader.texts)
    for text in ("A <title>", "Theta & grid", "a < b", "Look <here>", "seed", "7", "0.9"):
        assert text in said
    assert "title" in reader.tags
    assert reader.tags.count("code") == 1


def test_it_begins_with_what_is_wrong_or_with_what_was_looked_for():
    assert "Nothing wrong was found" in _page()
    assert "spikes" in _page()
    assert "Nothing wrong" not in _page(["idle <all day>"])
    assert "<li>idle &lt;all day&gt;</li>" in _page(["idle <all day>"])


def test_a_folder_is_no_page(tmp_path):
    write(tmp_path / "new" / "page.html", "text")
    assert (tmp_path / "new" / "page.html").read_text() == "text"
    with pytest.raises(ValueError, match=r"is a folder: name a file"):
        write(tmp_path, "text")
