"""Debounce: a file is ready once two listings in a row show it unchanged."""

from cryptoliq_assets.ingestion.landing.drop_folder import FolderEntry, read_cursor, split_settled, write_cursor

SMALL, GROWN = FolderEntry("a.csv", 100, 1_000), FolderEntry("a.csv", 150, 2_000)
OTHER = FolderEntry("b.csv", 100, 1_000)


def test_a_file_seen_for_the_first_time_is_not_ready() -> None:
    assert split_settled([SMALL], {}) == ([], [SMALL])


def test_an_unchanged_file_is_ready_and_a_growing_one_is_not() -> None:
    before = read_cursor(write_cursor([SMALL, OTHER]))
    assert split_settled([GROWN, OTHER], before) == ([OTHER], [GROWN])
    assert split_settled([GROWN], read_cursor(write_cursor([GROWN]))) == ([GROWN], [])


def test_a_rewritten_file_of_the_same_size_has_not_settled() -> None:
    before = read_cursor(write_cursor([SMALL]))
    assert split_settled([FolderEntry("a.csv", 100, 1_001)], before) == ([], [FolderEntry("a.csv", 100, 1_001)])


def test_the_cursor_can_store_any_file_name() -> None:
    entries = [FolderEntry('naïve "é" 雪\n.csv', 2**40, 1_647_000_000_123_456_789)]
    assert read_cursor(write_cursor(entries)) == {entries[0].name: entries[0]}


def test_a_missing_or_empty_cursor_has_no_entries() -> None:
    assert (read_cursor(None), read_cursor(""), read_cursor(write_cursor([]))) == ({}, {}, {})
