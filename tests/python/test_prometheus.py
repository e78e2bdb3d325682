"""Prometheus itself: its tool finds no fault with the alerts and the figures, the alerts fire when they should, and a real
server that scrapes a live mount has an answer to every question of the dashboard."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
import yaml

from conftest import ROOT, stop, wait_for_line

RULES = ROOT / "packaging/prometheus/ossmount.rules.yml"
BOARD = ROOT / "packaging/grafana/ossmount.json"
# Where tests/run puts it; one that is installed is as good.
PLACES = os.pathsep.join([str(ROOT / ".venv/prometheus/usr/bin"), os.environ["PATH"]])

# A mount that does well, as figures of each minute in promtool's words.
WELL = {
    "up": "1x120",
    "ossmount_read_errors_total": "7x120",
    "ossmount_reads_waiting": "3x120",
    "ossmount_last_answer_timestamp_seconds": "0+60x120",
    'ossmount_checksums_total{result="mismatch"}': "1x120",
    "ossmount_credentials_expire_timestamp_seconds": "600+60x120",
    "ossmount_throttled_total": "0+30x120",
    'ossmount_retries_total{cause="server"}': "0+2x120",
    'ossmount_retries_total{cause="timeout"}': "0+2x120",
    'ossmount_requests_total{op="get"}': "0+60x120",
    'ossmount_requests_total{op="list"}': "0+40x120",
    "ossmount_memory_shortages_total": "3x120",
}
# What goes wrong from minute 60 on for an alert, and the minutes after which it is not yet and is told of.
WRONG = {
    "OssmountDown": ({"up": "1x59 0x60"}, 1, 3),
    "OssmountReadsFail": ({"ossmount_read_errors_total": "7x59 8+1x60"}, 4, 7),
    "OssmountBucketSilent": ({"ossmount_last_answer_timestamp_seconds": "0+60x59 3540x60"}, 1, 4),
    "OssmountWrongBytes": ({'ossmount_checksums_total{result="mismatch"}': "1x59 2x60"}, -1, 1),
    "OssmountCredentialsEnd": ({"ossmount_credentials_expire_timestamp_seconds": "600+60x59 3600x60"}, -1, 2),
    "OssmountThrottled": ({"ossmount_throttled_total": "0+30x59 1800+120x60"}, 9, 16),
    "OssmountRetries": ({'ossmount_retries_total{cause="server"}': "0+2x59 120+20x60"}, 9, 16),
    "OssmountMemoryShort": ({"ossmount_memory_shortages_total": "3x59 4+1x60"}, 1, 6),
}


def program(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    assert found, f"there is no {name}: tests/run puts it into .venv, and Debian's package prometheus has it"
    return found


def promtool(*arguments, given: str | None = None) -> None:
    ran = subprocess.run([program("promtool"), *arguments], input=given, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0 and not ran.stderr, f"{ran.stdout}{ran.stderr}"


def rules() -> dict[str, dict]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def told(rule: dict) -> dict:
    """What is told when a rule fires: for two of them the job, and the result, are in it."""
    labels = {"instance": "a", **rule["labels"]}
    if "sum by" not in rule["expr"]:
        labels["job"] = "ossmount"
    if 'result="mismatch"' in rule["expr"]:
        labels["result"] = "mismatch"
    return {
        "exp_labels": labels,
        "exp_annotations": {name: text.replace("{{ $labels.instance }}", "a") for name, text in rule["annotations"].items()},
    }


def trial(name: str, figures: dict[str, str], expected: list[tuple[int, list[str]]]) -> dict:
    """One trial of `promtool test rules`: which alerts are told of at which minutes, and no others."""

    def series(figure: str) -> str:
        figure, _, labels = figure.rstrip("}").partition("{")
        labels = ",".join(filter(None, [labels, 'job="ossmount"', 'instance="a"']))
        return f"{figure}{{{labels}}}"

    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": series(figure), "values": values} for figure, values in figures.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": [told(rule)] if alert in firing else []}
            for minute, firing in expected
            for alert, rule in rules().items()
        ],
    }


def test_alerts_fire_when_they_should_and_no_other_does(tmp_path):
    promtool("check", "rules", RULES)
    assert set(WRONG) == set(rules())
    trials = [trial("all is well", WELL, [(119, [])])]
    for alert, (figures, before, after) in WRONG.items():
        trials.append(trial(alert, {**WELL, **figures}, [(60 + before, []), (60 + after, [alert])]))
    path = tmp_path / "trials.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": trials}))
    promtool("test", "rules", path)


def test_no_fault_is_found_with_the_figures(mount):
    (mount.path / "models/a.bin").read_bytes()
    promtool("check", "metrics", given=mount.run("status", mount.path, "--prometheus").stdout)


@pytest.fixture
def prometheus(mount, tmp_path):
    """A server that scrapes the mount and knows the alerts: its address."""
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "ossmount", "static_configs": [{"targets": [mount.figures]}]}],
    }
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    words = [f"--config.file={path}", f"--storage.tsdb.path={tmp_path / 'figures'}", "--web.listen-address=127.0.0.1:0"]
    process = subprocess.Popen(
        [program("prometheus"), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        address = wait_for_line(process, r'msg="Listening on" address=(\S+)', 60).group(1)
        # Until then it answers that it is unavailable.
        wait_for_line(process, "Server is ready to receive web requests", 60)
        yield address
    finally:
        stop(process)
        process.stdout.close()


def asked(address: str, path: str, **words: str) -> dict:
    url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(words)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        pytest.fail(f"{words}: {error.read().decode()}")


def expressions() -> list[str]:
    """Those of the dashboard, as Grafana would send them."""
    panels = json.loads(BOARD.read_text())["panels"]
    asks = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    for variable, value in {"$instance": ".*", "$__rate_interval": "10s", "$__range": "1m"}.items():
        asks = [ask.replace(variable, value) for ask in asks]
    return asks


def test_every_question_of_the_dashboard_has_an_answer(mount, prometheus):
    (mount.path / "models/a.bin").read_bytes()
    waiting = expressions()
    assert len(waiting) > 30 and not any("$" in ask for ask in waiting)
    # These keys never end.
    waiting = [ask for ask in waiting if "credentials_expire" not in ask]
    end = time.monotonic() + 60
    while waiting:
        waiting = [ask for ask in waiting if not asked(prometheus, "query", query=ask)["result"]]
        assert time.monotonic() < end, f"no data: {waiting}"
    asked(prometheus, "query", query="ossmount_credentials_expire_timestamp_seconds")

    while True:
        [group] = asked(prometheus, "rules")["groups"]
        if all(rule["health"] != "unknown" for rule in group["rules"]):
            break
        assert time.monotonic() < end
    assert {(rule["name"], rule["health"], rule["state"]) for rule in group["rules"]} == {
        (name, "ok", "inactive") for name in rules()
    }
