"""Restate's UI behind a prefix: its files' paths are rewritten, and nothing else can get into its scripts."""

import pytest

from playground.restate.ui import at_prefix, is_ui


def test_paths_of_files() -> None:
    assert at_prefix(b'import "/ui/a.js"; const base = `/ui/`; "/uid"; "/query"', "/p/x") == (
        b'import "/p/x/ui/a.js"; const base = `/p/x/ui/`; "/uid"; "/query"'
    )
    assert (
        at_prefix(b"@font-face { src: url(/ui/font/x.woff2) }", "/p") == b"@font-face { src: url(/p/ui/font/x.woff2) }"
    )


def test_a_page_fetches_behind_the_prefix() -> None:
    page = at_prefix(b'<!DOCTYPE html><html><head><link href="/ui/x.css">', "/p")
    assert page.index(b'const prefix = "/p"') < page.index(b'<link href="/p/ui/x.css">')


@pytest.mark.parametrize("prefix", ['/"', "/</script>", "/a b", "/`", "/\\"])
def test_what_could_end_a_string_is_no_prefix(prefix: str) -> None:
    with pytest.raises(ValueError, match="not a prefix"):
        at_prefix(b"", prefix)


def test_which_paths_are_the_uis() -> None:
    assert [is_ui(path) for path in ("/ui", "/ui/", "/ui/a/b", "/uix", "/query", "/")] == [
        True,
        True,
        True,
        *[False] * 3,
    ]
