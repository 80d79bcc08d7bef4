"""Run in the environment of the SDKs: each official SDK does at the sandbox what its provider is for.

`python official.py URL`. Prints one JSON object a line: provider, operation, and what came of it.
"""

# The SDKs are not installed where the types are checked.
# mypy: ignore-errors

import json
import struct
import sys
import time
import urllib.request
import zlib

PROMPT = "a red cube on a table"
SLOW = PROMPT + " [[slow=20000]]"


def main(url):
    """Plays every provider; the exit code says how many of them failed."""
    players = {
        "alibabacloud": alibabacloud,
        "bfl": bfl,
        "byteplus": byteplus,
        "cloudflare": cloudflare,
        "fal": fal,
        "openai": openai,
        "replicate": replicate,
        "runway": runway,
    }
    failed = 0
    for provider, play in players.items():
        stage = Stage(url, provider)
        try:
            play(stage)
        except Exception as error:  # noqa: BLE001 - said in the table, and the next SDK is asked
            failed += 1
            stage.say(f"{type(error).__name__}: {str(error)[:200]}", good=False)
    return failed


class Stage:
    """One SDK's place at the sandbox."""

    def __init__(self, url, provider):
        self.url = url
        self.provider = provider
        self.operation = ""

    def step(self, operation):
        """Says what the next requests are for."""
        self.operation = operation
        content = json.dumps({"player": "sdk", "provider": self.provider, "operation": operation}).encode()
        request = urllib.request.Request(f"{self.url}/_step", content, method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def say(self, outcome, *, good=True):
        """Prints what came of the step."""
        line = {"provider": self.provider, "operation": self.operation, "outcome": str(outcome), "good": good}
        print(json.dumps(line), flush=True)

    def fetched(self, file_url, least=500):
        """Downloads a result."""
        with urllib.request.urlopen(file_url, timeout=30) as answer:
            content = answer.read()
        self.say(f"{len(content)} bytes", good=len(content) >= least)


def until(look, done, seconds=40):
    """Looks again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if done(found):
            return found
        time.sleep(0.3)
    raise TimeoutError("it did not end in time")


def replicate(stage):
    """Creates, polls, fetches, lists, cancels."""
    import replicate as sdk

    client = sdk.Client(api_token="r8_sdk", base_url=f"{stage.url}/replicate")
    wanted = {"prompt": PROMPT, "aspect_ratio": "16:9", "num_outputs": 1, "output_format": "png"}
    stage.step("create image")
    made = client.models.predictions.create("black-forest-labs/flux-schnell", input=wanted)
    stage.say(made.status, good=made.status == "starting")
    stage.step("poll")
    until(lambda: made.reload() or made, lambda each: each.status == "succeeded")
    stage.say(made.status)
    stage.fetched(made.output[0])
    stage.step("list")
    stage.say(f"{len(client.predictions.list().results)} predictions")
    stage.step("cancel")
    slow = client.models.predictions.create("black-forest-labs/flux-schnell", input=wanted | {"prompt": SLOW})
    slow.cancel()
    stage.say(slow.status, good=slow.status == "canceled")
    stage.step("webhook secret")
    stage.say(type(client.webhooks.default.secret()).__name__)


def fal(stage):
    """Submits, polls, fetches, cancels."""
    import fal_client.client as sdk

    sdk.RUN_URL_FORMAT = sdk.QUEUE_URL_FORMAT = f"{stage.url}/fal/"
    client = sdk.SyncClient(key="sdk:key")
    wanted = {"prompt": PROMPT, "image_size": "landscape_16_9", "num_images": 1}
    stage.step("create image")
    made = client.submit("fal-ai/flux/dev", wanted)
    stage.say("queued", good=bool(made.request_id))
    stage.step("poll")
    until(made.status, lambda status: isinstance(status, sdk.Completed))
    stage.say("completed")
    stage.step("result")
    stage.fetched(made.get()["images"][0]["url"])
    stage.step("cancel")
    slow = client.submit("fal-ai/flux/dev", wanted | {"prompt": SLOW})
    slow.cancel()
    stage.say("canceled")


def openai(stage):
    """Makes an image and edits one; both are there when the call ends."""
    import base64

    import openai as sdk

    client = sdk.OpenAI(api_key="sk-sdk", base_url=f"{stage.url}/openai/v1", max_retries=0)
    wanted = {"model": "gpt-image-2", "prompt": PROMPT, "size": "1536x1024", "quality": "medium", "n": 1}
    stage.step("create image")
    made = client.images.generate(**wanted, output_format="png")
    stage.say(f"{len(base64.b64decode(made.data[0].b64_json))} bytes")
    stage.step("edit image")
    made = client.images.edit(**wanted, output_format="png", image=[("in.png", picture(), "image/png")])
    stage.say(f"{len(base64.b64decode(made.data[0].b64_json))} bytes")


def runway(stage):
    """Creates an image and two kinds of film, polls, fetches, cancels."""
    import runwayml as sdk

    client = sdk.RunwayML(api_key="key_sdk", base_url=f"{stage.url}/runway", max_retries=0)
    stage.step("create image")
    made = client.text_to_image.create(model="gen4_image", prompt_text=PROMPT, ratio="1920:1080")
    stage.say("accepted", good=bool(made.id))
    stage.step("poll")
    task = until(lambda: client.tasks.retrieve(made.id), lambda task: task.status == "SUCCEEDED")
    stage.say(task.status)
    stage.fetched(task.output[0])
    film = {"model": "gen4.5", "prompt_text": PROMPT, "ratio": "1280:720", "duration": 5}
    stage.step("create video")
    stage.say("accepted", good=bool(client.text_to_video.create(**film).id))
    stage.step("create video of image")
    made = client.image_to_video.create(**film, prompt_image="https://files.example/a.png")
    stage.say("accepted", good=bool(made.id))
    stage.step("cancel")
    slow = client.text_to_video.create(**film | {"prompt_text": SLOW})
    client.tasks.delete(slow.id)
    stage.say("canceled")


def bfl(stage):
    """Creates and polls: there is no cancel."""
    from blackforest import BFLClient

    client = BFLClient(api_key="bfl-sdk", base_url=stage.url)
    stage.step("create image")
    made = client.generate(
        "flux-kontext-pro", {"prompt": PROMPT, "aspect_ratio": "16:9", "output_format": "png"}
    )
    stage.say("accepted", good=bool(made.id))
    stage.step("poll")
    task = until(lambda: client.get_task_status(made.id), lambda task: str(task.status).endswith("Ready"))
    stage.say("Ready")
    stage.fetched(task.result["sample"])


def alibabacloud(stage):
    """Both surfaces: an image at once, an image and a film as tasks, polls, list, cancel."""
    import dashscope as sdk

    client = sdk.Client(api_key="sk-sdk", base_url=f"{stage.url}/alibaba/api/v1")
    sdk.base_http_api_url, sdk.api_key = f"{stage.url}/alibaba/api/v1", "sk-sdk"
    film = {"model": "wan3.0-video", "duration": 5, "resolution": "720P", "ratio": "16:9"}
    stage.step("create video")
    made = client.videos.jobs.create(
        **film, prompt=PROMPT, prompt_extend=True, watermark=False, parameters={"audio": False}
    )
    stage.say("accepted", good=bool(made.job_id))
    stage.step("poll")
    done = until(lambda: client.videos.jobs.fetch(made.job_id), lambda job: job.finished)
    stage.say("succeeded", good=done.succeeded)
    stage.fetched(done.video_url)
    stage.step("create image task")
    made = client.images.jobs.create(
        model="wan2.2-t2i-flash", prompt=PROMPT, n=1, size="1024*1024", watermark=False
    )
    stage.say("accepted", good=bool(made.job_id))
    stage.step("create image at once")
    content = [{"role": "user", "content": [{"text": PROMPT}]}]
    answer = sdk.MultiModalConversation.call(
        model="qwen-image-2.0", messages=content, n=1, size="1024*1024", watermark=False, prompt_extend=True
    )
    files = answer.output.choices[0].message.content if answer.status_code == 200 else []
    stage.say(answer.code or "ok", good=bool(files))
    stage.fetched(files[0]["image"])
    stage.step("list")
    stage.say(type(client.videos.jobs.list()).__name__)
    stage.step("cancel")
    slow = client.videos.jobs.create(**film, prompt=SLOW)
    client.videos.jobs.cancel(slow.job_id)
    stage.say("canceled")


def byteplus(stage):
    """An image at once; a film as a task, polled, listed, canceled."""
    from byteplussdkarkruntime import Ark

    client = Ark(api_key="ark-sdk", base_url=f"{stage.url}/byteplus/api/v3", max_retries=0)
    stage.step("create image")
    made = client.images.generate(
        model="seedream-4-0-250828",
        prompt=PROMPT,
        size="2560x1440",
        response_format="url",
        sequential_image_generation="disabled",
        watermark=False,
    )
    stage.say("made")
    stage.fetched(made.data[0].url)
    film = {"model": "seedance-1-5-pro-251215", "ratio": "16:9", "duration": 5, "resolution": "720p"}
    tasks = client.content_generation.tasks
    stage.step("create video")
    made = tasks.create(
        **film, content=[{"type": "text", "text": PROMPT}], generate_audio=False, watermark=False
    )
    stage.say("accepted", good=bool(made.id))
    stage.step("poll")
    done = until(lambda: tasks.get(task_id=made.id), lambda task: task.status == "succeeded")
    stage.say(done.status)
    stage.fetched(done.content.video_url)
    stage.step("list")
    stage.say(f"{tasks.list(page_num=1, page_size=10).total} tasks")
    stage.step("cancel")
    slow = tasks.create(**film, content=[{"type": "text", "text": SLOW}])
    tasks.delete(task_id=slow.id)
    stage.say("canceled")


def cloudflare(stage):
    """A third party's film, and an own model's image; both are there when the call ends."""
    import cloudflare as sdk

    client = sdk.Cloudflare(api_token="cf-sdk", base_url=f"{stage.url}/cloudflare/client/v4", max_retries=0)
    stage.step("create video")
    wanted = {"prompt": PROMPT, "aspect_ratio": "16:9", "duration": 5, "resolution": "720p"}
    answer = client.post(
        "/accounts/acc123/ai/run",
        cast_to=object,
        body={"model": "bytedance/seedance-2.0-fast", "input": wanted},
    )
    stage.say("made")
    stage.fetched(innermost(answer)["video"])
    stage.step("create image")
    answer = client.post(
        "/accounts/acc123/ai/run/@cf/black-forest-labs/flux-2-klein-4b",
        cast_to=object,
        body={"prompt": PROMPT, "width": "1280", "height": "720"},
        options={"headers": {"Content-Type": "multipart/form-data"}},
    )
    stage.say("made", good=bool(innermost(answer)["image"]))


def innermost(answer):
    """What stands in the envelopes of an answer."""
    while isinstance(answer.get("result"), dict):
        answer = answer["result"]
    return answer


def picture():
    """A small PNG, written by hand: the SDKs' environment needs no library of pictures."""
    rows = b"".join(b"\0" + b"\xff\0\0" * 64 for _ in range(64))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
