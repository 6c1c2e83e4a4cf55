"""Markup as a browser reads it, for tests that ask what would become of a text."""

from html.parser import HTMLParser

VOID = {"br", "img", "input"}


class Elements(HTMLParser):
    """The elements and attributes of some markup, its words, and which elements stay open."""

    def __init__(self, markup: str):
        super().__init__(convert_charrefs=True)
        self.found, self.attributes, self.words, self.open = [], [], [], []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.open.remove(tag)

    def handle_data(self, data):
        self.words.append(data)
