"""Every page of the app, run by Streamlit's own test harness: on a home, an empty one, one without a champion, a service."""

import datetime as dt
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

import cryptoliq_assets
from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.dashboard.components import shown, text
from cryptoliq_assets.modeling.estimators.names import title_of
from cryptoliq_assets.modeling.registry.model_registry import store_of
from cryptoliq_assets.monitoring.alerting.dispatch import read_state, update_incidents
from cryptoliq_assets.monitoring.alerting.incident_actions import close_incident, silence_kind
from cryptoliq_assets.monitoring.collect import collect_findings
from cryptoliq_assets.monitoring.drift.measure import FeatureDrift
from cryptoliq_assets.monitoring.findings import Finding
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.services import answering
from cryptoliq_assets_tests.support.settings import make_settings

SCRIPT = Path(cryptoliq_assets.__file__).parent / "dashboard" / "main.py"
NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
WELL = Finding("data_stale", "ok", "raw_snapshots", "1.0 days old")
# Pages whose file has another name.
PAGE_FILES = {"health": "data_health"}
PAGES = ("market", "coin", "what_if", "upload", "models", "health")


def opened(page: str) -> AppTest:
    test = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
    return test if page == "market" else test.switch_page(f"pages/{PAGE_FILES.get(page, page)}.py").run()


def said(test: AppTest) -> str:
    kinds = (test.markdown, test.caption, test.info, test.warning, test.error, test.subheader)
    return "\n".join(element.value for kind in kinds for element in kind)


def unbroken(test: AppTest) -> AppTest:
    """Nothing failed in it; a fault of the data is told in a box of the same kind."""
    assert not test.exception
    assert all(error.value.startswith("**FAIL: ") for error in test.error), said(test)
    return test


def figures(test: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in test.metric}


def with_column(test: AppTest, name: str) -> pd.DataFrame:
    """The one table that has a column of this name."""
    (found,) = [frame.value for frame in test.dataframe if name in frame.value.columns]
    return found


@pytest.fixture
def copied(trained_home, tmp_path, app_environment) -> Settings:
    """A home to write in, which the app shows."""
    home = trained_home.copy_to(tmp_path / "home")
    app_environment(home=home)
    return make_settings(home_dir=home)


def test_the_market_shows_the_newest_forecasts_movers_and_the_stress_list(app_environment, trained_home, settings):
    app_environment(home=trained_home.path)
    test = unbroken(opened("market"))
    stored = pd.read_parquet(settings.data_dir / "forecasts")
    assert figures(test)["Coins"] == str(len(stored))
    assert "2025-08-01" in said(test)
    stressed, whole = (frame.value for frame in test.dataframe)
    assert len(whole) == len(stored)
    assert (stressed["below_mean"] < 0).all()
    assert stressed["below_mean"].is_monotonic_increasing
    assert stressed["below_mean"].min() == whole["below_mean"].min()
    test.text_input(key="find").set_value("bitco").run()
    assert unbroken(test).dataframe[1].value["coin"].tolist() == ["Bitcoin"]


def test_a_coin_shows_its_days_and_its_forecast(app_environment, trained_home):
    app_environment(home=trained_home.path)
    test = unbroken(opened("coin"))
    assert test.selectbox(key="coin").value == "Bitcoin"
    assert "Forecast, 2025-08-01" in figures(test)
    assert "No forecast of this coin has come true yet" in said(test)


def test_a_name_in_the_address_is_that_coin(app_environment, trained_home):
    app_environment(home=trained_home.path)
    test = AppTest.from_file(str(SCRIPT), default_timeout=60).run().switch_page("app_pages/coin.py")
    test.query_params["coin"] = "Ethereum"
    assert "Ethereum (ETH)" in said(unbroken(test.run()))


def test_a_coin_that_is_not_in_the_newest_snapshot_is_shown_up_to_its_last_day(copied):
    store = TableStore(copied)
    for table in ("cleaned_snapshots", "forecasts"):
        rows = store.read(table, ["2025-07"])
        store.write(table, rows[(rows["coin"] != "Ethereum") | (rows["date"] < "2025-07-20")], ["2025-07"])
    write_json(copied.reports_dir / "forecasts.json", {"stale": [{"coin": "Ethereum", "last_seen": "2025-07-19"}]})
    test = unbroken(opened("coin"))
    test.selectbox(key="coin").set_value("Ethereum").run()
    assert "Not forecast: it is not in the snapshot of 2025-07-31. Last seen 2025-07-19" in said(unbroken(test))


def test_past_forecasts_stand_against_what_came(copied):
    store = TableStore(copied)
    newest = store.read("forecasts")
    before = newest.assign(**{name: newest[name] - pd.Timedelta(days=1) for name in ("date", "target_date")})
    before["known_until"] = before["date"]
    plain = {"coin": object, "model_version": object}
    store.write("forecasts", pd.concat([newest.astype(plain), before.astype(plain)]), ["2025-07"])
    test = unbroken(opened("coin"))
    (table,) = (frame.value for frame in test.dataframe)
    assert table["target_date"].tolist() == ["2025-07-31"]
    labels = store.read("labels", ["2025-07"], coin="Bitcoin").set_index("date")
    assert table["realised"].iloc[0] == labels.loc["2025-07-31", "liquidity_score"]
    error = table["liquidity_score"].iloc[0] - table["realised"].iloc[0]
    assert table["error"].iloc[0] == pytest.approx(error, abs=0.0005)


def test_a_new_snapshot_shows_without_a_restart(copied):
    test = unbroken(opened("market"))
    coins = int(figures(test)["Coins"])
    store = TableStore(copied)
    store.write("forecasts", store.read("forecasts").iloc[1:], ["2025-07"])
    assert figures(unbroken(test.run()))["Coins"] == str(coins - 1)


def test_another_champion_is_what_the_next_look_shows_and_forecasts_with(copied):
    store = store_of(copied)
    first = store.current_version()
    assert text(title_of(store.metadata(first))) in said(unbroken(opened("models")))
    loaded = store.load()
    second = store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))["version"]
    shown = text(title_of(store.metadata(second)))
    assert shown in said(unbroken(opened("models")))
    test = opened("what_if")
    for field, value in {"price": 1.5, "24h_volume": 2e6}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    test.button[0].click().run()
    assert f"By {shown}." in said(unbroken(test))


def test_models_show_folds_leaderboard_ledger_and_card(app_environment, trained_home, settings):
    app_environment(home=trained_home.path)
    test = unbroken(opened("models"))
    champion = store_of(settings).current()
    assert figures(test)["Skill"] == f"{champion['metrics']['skill']:.3f}"
    words = said(test)
    for title in ("Leaderboard", "Stored versions", "Ledger, newest first", "Model card"):
        assert title in words
    folds, coverage, board, coins, versions, ledger = (frame.value for frame in test.dataframe)
    assert list(coins.columns) == ["Coin", "Days", "MAE", "Mean absolute prediction"]
    assert coins["MAE"].is_monotonic_decreasing
    assert (coins["Mean absolute prediction"] > 0).all()
    assert len(folds) == 2
    assert "1 day ahead" in words
    of_fold = champion["coverage"]["folds"][0]["groups"]["with_history"]["coverage"]
    assert coverage["Fold 2, %"].iloc[0] == pytest.approx(100 * of_fold)
    assert board["Model"].tolist()[-3:] == ["persistence", "har", "mean 7d"]
    assert versions[["Model", "Version"]].values.tolist() == [[champion["version"], champion["model_version"]]]
    assert ledger["Event"].tolist() == ["promotion"]


def test_a_skill_that_is_a_hair_below_nothing_is_nothing(copied):
    path = copied.reports_dir / "metrics.json"
    board = json.loads(path.read_text(encoding="utf-8"))
    board["baselines"][0]["skill"] = -4e-4
    write_json(path, board)
    skills = unbroken(opened("models")).dataframe[2].value.set_index("Model")["Skill"]
    assert not np.signbit(skills[board["baselines"][0]["name"].replace("_", " ")])
    assert skills["xgboost"] != 0


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (-0.0004, ".3f", "0.000"),
        (0.0004, "+.3f", "0.000"),
        (-0.0006, "+.3f", "-0.001"),
        (-0.004, ".1%", "-0.4%"),
        (-0.0004, ".1%", "0.0%"),
        (None, ".3f", "–"),
        (float("nan"), ".3f", "–"),
    ],
)
def test_what_rounds_to_nothing_has_no_sign(value, form, expected):
    assert shown(value, form) == expected


def test_a_mover_whose_change_rounds_to_nothing_is_none(copied):
    store = TableStore(copied)
    made = store.read("forecasts", ["2025-07"])
    features = store.read("engineered_features", ["2025-07"])
    of_day = features[features["date"] == made["date"].max()].set_index("coin")["liquidity_score"]
    made["liquidity_score"] = of_day.reindex(made["coin"].astype(str)).to_numpy() - 0.0003
    made["lower"], made["upper"] = made["liquidity_score"] - 0.1, made["liquidity_score"] + 0.1
    store.write("forecasts", made, ["2025-07"])
    test = unbroken(opened("market"))
    assert figures(test)["Median change"] == "0.000"
    assert {"More liquid: no coin.", "Less liquid: no coin."} <= {caption.value for caption in test.caption}
    changes = with_column(test, "change")["change"]
    assert (changes == 0).all()
    assert not np.signbit(changes).any()


def test_coverage_goes_from_the_largest_coins_to_the_smallest(copied):
    loaded = store_of(copied).load()
    one = loaded.metadata["coverage"]["pooled"]["with_history"]
    sizes = ("1-50", "201-500", "501-1000", "51-200", "above_1000", "unknown")
    names = ("with_history", *sizes, "without_history", *(f"without_history:{size}" for size in sizes))
    coverage = {**loaded.metadata["coverage"], "pooled": dict.fromkeys(names, one)}
    metadata = {**loaded.metadata, "coverage": coverage}
    store_of(copied).promote(loaded.model, metadata, reason="again", at=dt.datetime.now(dt.UTC))
    groups = with_column(unbroken(opened("models")), "mean_width")["group"].tolist()
    expected = ["rank 1-50", "rank 51-200", "rank 201-500", "rank 501-1000", "rank above 1000", "rank unknown"]
    assert groups == [
        *("with history", "without history", *expected),
        *(f"without history, {size}" for size in expected),
    ]


def test_health_shows_freshness_files_and_what_will_make_the_drift_report(copied):
    test = unbroken(opened("health"))
    assert figures(test)["Newest snapshot"] == "2025-07-31"
    assert figures(test)["Missing days"] == "0"
    assert "days old: drop newer files" in said(test)
    assert "90 accepted" in said(test)
    assert "No drift report yet: `cryptoliq monitor` makes one." in said(test)
    write_json(copied.reports_dir / "drift_report.json", {"drifted": ["price_log"]})
    assert json.loads(unbroken(test.run()).json[0].value) == {"drifted": ["price_log"]}


def test_health_shows_what_is_not_well_what_is_open_and_what_was_told(copied):
    before = unbroken(opened("health"))
    said_before = said(before)
    assert "**FAIL: Data is stale: raw\\_snapshots**" in before.error[0].value
    assert "What to do: look why no snapshot arrives" in said_before
    assert "Nothing has raised alarms here yet" in said_before
    update_incidents(copied, collect_findings(copied, NOON), NOON)
    test = unbroken(opened("health"))
    assert with_column(test, "since")["title"].tolist() == ["Data is stale"]
    notices = with_column(test, "event")
    assert notices[["at", "event", "title"]].values.tolist() == [["2026-01-05 12:00", "opened", "Data is stale"]]
    (incident,) = read_state(copied).open
    assert with_column(test, "since")["id"].tolist() == [incident.id]
    close_incident(copied, incident.id, NOON, by="anna", reason="known")
    silence_kind(copied, "days_missing", dt.datetime.now(dt.UTC), hours=2, by="ben")
    test = unbroken(opened("health"))
    assert with_column(test, "closed_at")[["id", "by", "reason"]].values.tolist() == [[incident.id, "anna", "known"]]
    assert with_column(test, "until")[["kind", "by"]].values.tolist() == [["days_missing", "ben"]]


def test_health_shows_the_drift_of_each_condition_and_feature(copied):
    drifted = Finding("feature_drift", "warn", "price_log", "PSI 0.3, more than 0.25")
    findings = [Finding("feature_drift", "ok", "overall", "PSI 0.1").to_dict(), drifted.to_dict()]
    sizes = {"psi": 0.3, "distance": 0.6, "shift": -0.2, "missing": 0.01, "missing_before": 0.0}
    drifts = [
        FeatureDrift("price_log", **sizes, judged=True, level="warn"),
        FeatureDrift("change_24h_abs", **{**sizes, "psi": float("nan")}, judged=False, level="ok"),
    ]
    told = {"conditions": findings, "drift": [drift.to_dict() for drift in drifts]}
    write_json(copied.reports_dir / "drift_report.json", told)
    test = unbroken(opened("health"))
    assert with_column(test, "kind")["where"].tolist() == ["price_log", "overall"]
    features = with_column(test, "psi")
    assert features[["name", "level", "missing"]].values.tolist() == [
        ["price_log", "warn", 0.01],
        ["change_24h_abs", "told only", 0.01],
    ]
    assert features["psi"].iloc[0] == 0.3
    assert np.isnan(features["psi"].iloc[1])
    assert "**WARN: Features drifted: price\\_log**" in said(test)


def test_health_of_a_home_that_is_well_says_so(copied, monkeypatch):
    monkeypatch.setattr("cryptoliq_assets.serving.home_views.collect_findings", lambda *told, **said: [WELL])
    test = unbroken(opened("health"))
    assert [element.value for element in test.success] == ["All is well: the monitor looked at 1 things."]


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_home_says_what_to_do(page, tmp_path, app_environment):
    app_environment(home=tmp_path)
    test = unbroken(opened(page))
    assert "Drop snapshot files into `data/raw` and run `cryptoliq materialize`" in said(test)
    assert not test.success
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("page", PAGES)
def test_a_home_without_a_champion_says_what_to_do(page, copied):
    shutil.rmtree(copied.models_dir)
    shutil.rmtree(copied.data_dir / "forecasts")
    test = opened(page)
    assert not test.exception
    if page != "health":
        assert "`cryptoliq train` makes one" in said(test)


def test_a_champion_without_forecasts_says_what_to_do(copied):
    shutil.rmtree(copied.data_dir / "forecasts")
    assert "`cryptoliq forecast` makes them" in said(unbroken(opened("market")))


def test_what_is_damaged_is_told_in_words(copied):
    version = store_of(copied).current_version()
    (copied.models_dir / f"{version}.pkl").write_bytes(b"")
    test = opened("models")
    assert "**The model was refused**" in test.error[0].value
    assert "cryptoliq models verify" in test.error[0].value
    path = TableStore(copied).path("engineered_features", "2025-07")
    pd.read_parquet(path).drop(columns="liquidity_score").to_parquet(path)
    test = opened("market")
    assert "**A table cannot be read**" in test.error[0].value
    assert not test.exception


def test_what_nobody_foresaw_is_told_without_a_traceback(copied, monkeypatch):
    from cryptoliq_assets.serving import views

    monkeypatch.setattr(views, "load_latest_forecasts", lambda *_: 1 / 0)
    test = opened("market")
    assert "Something went wrong" in test.error[0].value
    assert "ZeroDivision" not in said(test)


def test_on_a_service_what_if_sends_the_contracts_fields_and_tells_the_answer(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = unbroken(opened("what_if"))
    test.selectbox(key="of").set_value("Bitcoin").run()
    with service.client() as client:
        known = client.get("/forecasts/Bitcoin").json()["snapshot"]
    assert test.number_input(key="price of Bitcoin").value == known["price"]
    for field, value in {"24h_volume": 5.0e15, "24h": 0.0, "7d": 0.0}.items():
        test.number_input(key=f"{field} of Bitcoin").set_value(value)
    began = time.time()
    test.button[0].click().run()
    unbroken(test)
    (body,) = service.noted(began)
    assert set(body) == {
        *("price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "liquidity_ratio", "price_change_24h"),
        *("coin", "date"),
    }
    assert (body["24h_volume"], body["date"], body["coin"]) == (5.0e15, "2025-07-31", "Bitcoin")
    assert (body["liquidity_ratio"], body["price_change_24h"]) == (5.0e15 / known["mkt_cap"], 0.0)
    with service.client() as client:
        answer = client.post("/predict", json=body).json()
    told = figures(test)
    assert told["Forecast, 1 day ahead"] == f"{answer['liquidity_score']:.3f}"
    assert told["90% interval"] == f"{answer['lower']:.3f} to {answer['upper']:.3f}"
    assert told["Percentile"] == f"{answer['percentile']:.1f}"
    assert "The service notes it like any request." in said(test)
    assert "24h volume, USD" in said(test)
    assert "below its floor" in said(test)


def test_what_if_of_a_homes_own_coin_gives_its_newest_forecast_again(app_environment, trained_home, settings):
    app_environment(home=trained_home.path)
    test = unbroken(opened("what_if"))
    test.selectbox(key="of").set_value("Bitcoin").run()
    test.button[0].click().run()
    stored = pd.read_parquet(settings.data_dir / "forecasts").set_index("coin").loc["Bitcoin"]
    assert figures(unbroken(test))["Forecast, 1 day ahead"] == f"{stored['liquidity_score']:.3f}"
    assert "the coin's stored days" in said(test)
    assert "Nothing is stored." in said(test)
    # What the form says by now is not what was answered.
    price = test.number_input(key="price of Bitcoin").value
    assert "Answer to the row: " + text(f"Bitcoin, 2025-07-31: Price, USD {price:,.12g}; ") in said(test)


@pytest.mark.parametrize("where", ["home", "service"])
def test_a_refused_row_is_told_in_the_forms_words_and_leaves_no_answer(where, app_environment, trained_home, service):
    app_environment(**({"home": trained_home.path} if where == "home" else {"url": service.url, "key": service.key}))
    test = unbroken(opened("what_if"))
    for field, value in {"price": 47_000.0, "24h_volume": 1e9, "mkt_cap": 1e12}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    test.button[0].click().run()
    assert "no coin was named" in said(unbroken(test))
    for field, value in {"price": -5.0, "24h": -250.0, "mkt_cap": -1.0}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    test.button[0].click().run()
    (box,) = test.error
    assert box.value.startswith("**The row is refused**")
    # Derived fields were typed by nobody.
    assert [line.partition(":")[0] for line in box.value.split("\n\n")[1:]] == [
        *("- Price, USD", "- 24h change, %", "- Market cap, USD")
    ]
    assert figures(test) == {}


def test_the_form_takes_the_bounds_of_plausible_amounts_and_derives_from_them(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = opened("what_if")
    for field, value in {"price": 1.0, "24h_volume": 1e18, "mkt_cap": 1e-18, "24h": 10.0}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    began = time.time()
    test.button[0].click().run()
    unbroken(test)
    (body,) = service.noted(began)
    assert body["liquidity_ratio"] == 1e18 / 1e-18
    assert body["price_change_24h"] == 1.0 - 1.0 / 1.1


def test_the_form_refuses_implausible_amounts_alone_not_what_it_derives_from_them(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = opened("what_if")
    for field, value in {"price": 1.0, "24h_volume": 1e200, "mkt_cap": 1e-200}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    test.button[0].click().run()
    (box,) = test.error
    assert [line.partition(":")[0] for line in box.value.split("\n\n")[1:]] == [
        "- 24h volume, USD",
        "- Market cap, USD",
    ]


def uploaded(content: str) -> AppTest:
    test = unbroken(opened("upload"))
    return test.file_uploader(key="csv").set_value(("rows.csv", content.encode(), "text/csv")).run()


HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n"


@pytest.mark.parametrize("where", ["home", "service"])
def test_a_refused_row_of_a_file_is_told_by_its_line(where, app_environment, trained_home, service):
    app_environment(**({"home": trained_home.path} if where == "home" else {"url": service.url, "key": service.key}))
    good = "Bitcoin,BTC,100,1,1.5,3,2e9,1e11,2025-07-31\n"
    test = unbroken(
        uploaded(f"{HEADER}{good}\nEthereum,ETH,1,1,1,1,1,1,yesterday\nNew,NEW,,1,1,1,1,1,2025-07-31\n{good}")
    )
    assert figures(test) == {"Rows": "4", "Forecast": "2", "With history": "2", "Refused": "2"}
    assert "1h, 24h and 7d were read as percent." in [element.value for element in test.caption]
    (table,) = (element.value for element in test.table)
    # The second line is a line of nothing, which is no row.
    assert table[["Line", "Coin"]].values.tolist() == [[4, "Ethereum"], [5, "New"]]
    assert table["Why it was refused"].str.startswith("line").sum() == 0
    assert table["Why it was refused"].tolist()[0].startswith("date is 'yesterday'")


def test_the_box_for_a_file_promises_what_a_service_takes(app_environment, trained_home, service, monkeypatch):
    monkeypatch.setenv("CRYPTOLIQ_API__MAX_BODY_MIB", "32")
    app_environment(url=service.url, key=service.key)
    assert unbroken(opened("upload")).file_uploader(key="csv").proto.max_upload_size_mb == 32
    app_environment(home=trained_home.path)
    assert unbroken(opened("upload")).file_uploader(key="csv").proto.max_upload_size_mb > 32


def test_what_if_without_a_price_says_what_is_needed(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = opened("what_if")
    began = time.time()
    test.button[0].click().run()
    assert "Fill in Price, USD and 24h volume, USD" in test.error[0].value
    assert service.noted(began) == []


def test_a_row_that_the_service_refuses_names_its_fields(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = opened("what_if")
    test.number_input(key="price of None").set_value(0.0)
    test.number_input(key="24h_volume of None").set_value(1.0)
    test.button[0].click().run()
    assert "**The row is refused**" in test.error[0].value
    assert "- Price, USD: Input should be greater than or equal to 1e-18; got 0" in test.error[0].value


def test_another_servers_words_are_shown_and_not_obeyed(app_environment):
    told = {"title": "Refused", "errors": [{"field": "price", "message": "at most 1e12, [not](http://x)"}]}
    with answering(422, told) as url:
        app_environment(url=url)
        assert "- price: at most 1e12, \\[not\\](http\\://x)" in opened("what_if").error[0].value


@pytest.mark.parametrize("page", ["market", "coin", "upload", "models", "health"])
def test_on_a_service_every_page_opens_and_those_that_need_a_home_say_so(page, app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = unbroken(opened(page))
    assert ("read from the home itself" in said(test)) == (page in ("models", "health"))


@pytest.mark.parametrize("page", ["market", "coin", "what_if", "models"])
@pytest.mark.parametrize("given", ["none", "another"])
def test_without_the_services_key_a_page_says_which_setting_it_wants(page, given, app_environment, service):
    app_environment(url=service.url, key="" if given == "none" else f"{service.key}x")
    test = opened(page)
    assert "**The service refused the key**" in test.error[0].value
    assert "CRYPTOLIQ" in test.error[0].value
    assert service.key not in said(test)
    assert not test.exception


def test_a_key_that_is_set_right_later_is_taken_without_a_restart(app_environment, service):
    app_environment(url=service.url, key=f"{service.key}x")
    assert "refused the key" in opened("market").error[0].value
    app_environment(url=service.url, key=service.key)
    unbroken(opened("market"))


@pytest.mark.parametrize("page", ["market", "coin", "what_if", "models"])
def test_a_service_that_is_not_there_is_told(page, app_environment):
    app_environment(url="http://127.0.0.1:9")
    test = opened(page)
    assert "The service cannot be reached" in test.error[0].value
    assert not test.exception


def test_names_are_text_and_no_markup():
    from cryptoliq_assets.dashboard.charts import name_shown

    assert text("![x](http://e) `cryptoliq_x` $1$") == "\\!\\[x\\](http\\://e) `cryptoliq_x` \\$1\\$"
    assert "`" not in text("one ` only")
    assert name_shown("<a href='x'>") == "&lt;a href=&#x27;x&#x27;&gt;"
