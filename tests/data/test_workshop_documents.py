"""The sample documents of chapter 14."""

from conftest import ROOT

from training import workshop_documents


def test_the_pdf_is_what_its_recipe_writes():
    assert workshop_documents.pdf() == (ROOT / "data" / "documents" / "house_rules.pdf").read_bytes()
