"""Each file against the snapshot before it: coins new, gone and renamed, from files and from stored months."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from cryptoliq_assets.raw.neighbours import Neighbours
from cryptoliq_assets_tests.markets import HEADER, Home

DAYS = [dt.date(2022, 3, 30), dt.date(2022, 3, 31), dt.date(2022, 4, 1), dt.date(2022, 4, 20)]


def rows(day: dt.date, *coins: str, price: float = 1.0) -> pa.Table:
    """Rows of one day; a coin's symbol is its first letter."""
    return pa.table(
        {
            "coin": list(coins),
            "symbol": [coin[0] for coin in coins],
            "date": pa.array([dt.datetime.combine(day, dt.time())] * len(coins), pa.timestamp("ns")),
            "price": [price] * len(coins),
            "mkt_cap": pa.array([None] * len(coins), pa.float64()),
        }
    )


@pytest.fixture
def neighbours(tmp_path: Path) -> Neighbours:
    return Neighbours(Home.at(tmp_path).store)


def test_each_file_is_held_against_the_day_before_it_and_renames_are_guessed(neighbours: Neighbours) -> None:
    files = [(rows(DAYS[0], "Ada", "Bob"), ["2022-03-30"]), (rows(DAYS[1], "Bob", "Ann", "Cid"), ["2022-03-31"])]
    first, second = neighbours.compare(files)
    assert first == {"previous_snapshot": None, "coins_new": None, "coins_gone": None, "likely_renames": []}
    assert second["previous_snapshot"] == "2022-03-30"
    assert second["coins_new"] == {"count": 2, "coins": ["Ann", "Cid"]}
    assert second["coins_gone"] == {"count": 1, "coins": ["Ada"]}
    assert second["likely_renames"] == [{"old": "Ada", "new": "Ann"}]


def test_one_call_for_all_files_says_what_a_call_for_each_says(tmp_path: Path) -> None:
    files = [
        (rows(DAYS[0], "Ada", "Bob"), ["2022-03-30"]),
        (rows(DAYS[2], "Cid", "Bob"), ["2022-04-01"]),
        (rows(DAYS[1], "Bob", "Cid", "Dan"), ["2022-03-31"]),
        (rows(DAYS[3], "Bob"), ["2022-04-20"]),
    ]
    store = Home.at(tmp_path).store
    one, each = Neighbours(store), Neighbours(store)
    assert one.compare(files) == [each.compare([file])[0] for file in files]
    assert one.compare([]) == []


def test_of_a_file_of_several_days_the_last_counts(neighbours: Neighbours) -> None:
    both = pa.concat_tables([rows(DAYS[1], "Bob", "Cid"), rows(DAYS[0], "Ada", "Bob")])
    files = [(both, ["2022-03-30", "2022-03-31"]), (rows(DAYS[2], "Bob"), ["2022-04-01"])]
    assert neighbours.compare(files)[1]["coins_gone"] == {"count": 1, "coins": ["Cid"]}


def test_a_stored_month_is_a_neighbour_too_as_far_as_seven_days_back(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    lines = [f"{coin},{coin[0]},1.0,-0.5,-2.5,-4,1e6,,{DAYS[1]}" for coin in ("Ada", "Bob")]
    home.drop("coingecko_20220331.csv", "\n".join([HEADER, *lines, ""]))
    home.look()
    result = home.intake.take_in(["2022-03"])
    home.store.write("raw_snapshots", result.frame, ["2022-03"], sources=result.sources)
    neighbours = Neighbours(home.store)
    near, far = neighbours.compare(
        [(rows(DAYS[2], "Bob", "Ann"), ["2022-04-01"]), (rows(DAYS[3], "Bob"), ["2022-04-20"])]
    )
    assert (near["previous_snapshot"], far["previous_snapshot"]) == ("2022-03-31", None)
    assert near["likely_renames"] == [{"old": "Ada", "new": "Ann"}]
