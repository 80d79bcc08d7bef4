"""The main job, through the command and the public API only."""

import json
import stat
from pathlib import Path

import pytest

from cli.demo.media import decode
from tests.e2e.conftest import REGIONS, Stack


def test_ready_json_says_everything_and_only_its_owner_may_read_it(stack: Stack) -> None:
    path = stack.data_dir / "ready.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ready = stack.ready()
    assert sorted(ready) == ["gateway", "regions", "sandbox"]
    assert ready["gateway"] == f"http://127.0.0.1:{stack.ports['us']}"
    assert list(ready["regions"]) == list(REGIONS)
    for name, region in ready["regions"].items():
        assert sorted(region) == ["account_id", "api", "api_key", "database_url", "grpc"]
        assert region["api"] == f"http://127.0.0.1:{stack.ports[name]}"
        assert region["api_key"].startswith(f"bye_{name}_")
        assert region["database_url"].startswith("postgresql://")


def test_the_bootstrap_account_is_enterprise_with_a_thousand_credits(stack: Stack) -> None:
    billing = stack.rest("eu", "GET", "/v1/user/billing").json()["data"]
    assert "Enterprise" in billing["billing_plan"]
    assert billing["billing_credit_balance"] <= 1000
    assert (
        stack.run("credits", "grant", "--region", "eu", "--amount", "1000", "--key", "bootstrap").returncode
        == 0
    )
    assert stack.balance("eu") == billing["billing_credit_balance"]


@pytest.mark.parametrize("region", REGIONS)
def test_generate_makes_a_picture_that_a_decoder_opens_and_charges_its_price(
    stack: Stack, region: str, tmp_path: Path
) -> None:
    before = stack.balance(region)
    arguments = ("bfl/flux-schnell", "a lighthouse in fog", "--ratio", "16:9", "--format", "png")
    done = stack.run("generate", *arguments, "--region", region, "--output", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    looks = decode(Path(said["files"][0]))
    assert looks["format"] == "png"
    assert looks["width"] / looks["height"] == pytest.approx(16 / 9, rel=0.02)
    assert said["charged_micros"] == 5_000
    assert before - stack.balance(region) == pytest.approx(0.005)


def test_generate_makes_a_video_that_plays_from_its_first_to_its_last_frame(
    stack: Stack, tmp_path: Path
) -> None:
    arguments = ("google/veo-3.1-fast", "a paper boat in the rain", "--duration", "4", "--region", "eu")
    done = stack.run("generate", *arguments, "--output", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    looks = decode(Path(json.loads(done.stdout)["files"][0]))
    assert looks["format"] == "mp4"
    assert looks["frames"] > 10
    assert looks["seconds"] == pytest.approx(4, abs=0.3)


def test_the_trace_of_a_generation_reaches_from_the_gateway_to_the_settlement(
    stack: Stack, tmp_path: Path
) -> None:
    done = stack.run("generate", "bfl/flux-schnell", "a fox", "--output", str(tmp_path), "--json")
    generation_id = json.loads(done.stdout)["generation_id"]
    text = ""
    for _ in range(20):
        text = stack.run("trace", generation_id).stdout
        if "settle" in text:
            break
    assert {"gateway", "server", "worker"} <= set(text.split())
    assert "settle" in text
    assert "POST /v1/generate/image/" in text
    tree = json.loads(stack.run("trace", generation_id, "--json").stdout)
    assert (tree["region"], len(tree["roots"])) == ("us", 1)
    assert "a fox" not in json.dumps(tree)


def test_a_failed_generation_is_exit_code_1_and_costs_nothing(stack: Stack, tmp_path: Path) -> None:
    before = stack.balance("us")
    done = stack.run("generate", "bfl/flux-schnell", "[[fail]] a fox", "--output", str(tmp_path))
    assert done.returncode == 1
    assert "[BSE4004]; it was not charged." in done.stderr
    assert stack.balance("us") == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no/such-model", "x"), "There is no model 'no/such-model'"),
        (("bfl/flux-schnell", "x", "--ratio", "7:1"), "generation_ratio"),
        (("bfl/flux-schnell", "x", "--providers", "runway"), "[BSE2001]"),
    ],
)
def test_a_refused_request_is_exit_code_4_and_one_sentence(
    stack: Stack, arguments: tuple[str, ...], words: str
) -> None:
    done = stack.run("generate", *arguments)
    assert done.returncode == 4
    assert words in done.stderr
    assert done.stderr.startswith("babysea: ")
    assert done.stderr.count("\n") == 1


def test_a_new_account_works_with_its_own_key_and_credits_until_the_key_is_revoked(stack: Stack) -> None:
    made = stack.run("account", "create", "--region", "eu", "--name", "Ada", "--plan", "pro", "--json")
    account = json.loads(made.stdout)["account_id"]
    where = ("--region", "eu", "--account", account)
    key = json.loads(stack.run("key", "create", *where, "--name", "ada", "--json").stdout)
    grant = ("credits", "grant", *where, "--amount", "12.5", "--key", "order:1", "--json")
    assert json.loads(stack.run(*grant).stdout)["result"] == "granted"
    again = json.loads(stack.run(*grant).stdout)
    assert (again["result"], again["available_micros"]) == ("already_granted", 12_500_000)
    mine = stack.rest("eu", "GET", "/v1/user/account", key["api_key"]).json()["data"]
    assert (mine["account_id"], mine["account_name"]) == (account, "Ada")
    listed = json.loads(stack.run("key", "list", *where, "--json").stdout)["keys"]
    assert [entry["status"] for entry in listed] == ["active"]
    assert key["api_key"] not in json.dumps(listed)
    assert stack.run("key", "revoke", *where, key["key_id"]).returncode == 0
    listed = json.loads(stack.run("key", "list", *where, "--json").stdout)["keys"]
    assert [entry["status"] for entry in listed] == ["revoked"]


def test_a_key_of_one_region_is_refused_by_the_other(stack: Stack) -> None:
    answer = stack.rest("eu", "GET", "/v1/status", key=stack.region("us")["api_key"])
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "BSE1002"


def test_a_second_up_changes_nothing_and_says_so(stack: Stack) -> None:
    before = (stack.ready(), stack.processes(), stack.supervisor())
    done = stack.up()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "already"
    assert (stack.ready(), stack.processes(), stack.supervisor()) == before
    shown = stack.run("up", "--regions", ",".join(REGIONS))
    assert shown.returncode == 0
    assert "nothing was changed" in shown.stdout


def test_a_second_up_with_other_regions_is_refused(stack: Stack) -> None:
    done = stack.run("up", "--detach", "--regions", "jp")
    assert done.returncode == 1
    assert "already runs" in done.stderr
    assert "babysea down" in done.stderr


def test_no_output_of_up_shows_a_key_or_a_password(stack: Stack) -> None:
    said = stack.up()
    logs = "".join(path.read_text() for path in (stack.data_dir / "logs").iterdir())
    for region in REGIONS:
        place = stack.region(region)
        master = (stack.data_dir / region / "secrets" / "master_key").read_text().strip()
        password = place["database_url"].split("@")[0].rpartition(":")[2]
        for secret in (place["api_key"], master, password):
            assert secret not in said.stdout + said.stderr + logs


def test_the_doctor_finds_a_running_stack_healthy(stack: Stack) -> None:
    done = stack.run("doctor", "--json")
    report = json.loads(done.stdout)
    assert [check["name"] for check in report["checks"] if not check["ok"]] == []
    assert done.returncode == 0


def test_the_ledgers_are_clean_after_all_that(stack: Stack) -> None:
    assert stack.audit_is_clean()
