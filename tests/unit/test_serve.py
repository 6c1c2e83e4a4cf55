"""The server through the real client: chat, stream, embeddings, pictures; refusals; nothing left running."""

import base64
import io
import os
import subprocess
import sys

import openai
import pytest
import torch
from PIL import Image

from bookkit import serve
from bookkit.errors import BookError

HELLO = [{"role": "user", "content": "Hi"}]


def chat(messages, max_tokens=8, temperature=0.0, seed=None, likeliest=0):
    """A model that greets, and says with what it was asked."""
    serve.check(messages)
    texts = ["Hello", f" {temperature:g}", f" {seed}", " wörld"][:max_tokens]
    return iter([serve.Piece(text, -0.5, [("x", -1.0)] * likeliest) for text in texts])


chat.count = len


def draw(prompt, seed):
    return Image.new("RGB", (4, 4), "red" if seed == 7 else "blue")


@pytest.fixture(scope="module")
def running():
    app = serve.application(chat, lambda texts: [[float(len(text)), 1.0] for text in texts], draw)
    with serve.start(app) as server:
        yield server
    assert not serve.healthy(server.port)


@pytest.fixture(scope="module")
def client(running):
    return openai.OpenAI(base_url=running.url, api_key="none", max_retries=0)


def test_a_chat(client):
    reply = client.chat.completions.create(
        model="chat", messages=HELLO, temperature=0, seed=3, logprobs=True, top_logprobs=2
    )
    assert reply.choices[0].message.content == "Hello 0 3 wörld" and reply.choices[0].finish_reason == "stop"
    token = reply.choices[0].logprobs.content[0]
    assert (token.token, token.logprob, len(token.top_logprobs)) == ("Hello", -0.5, 2)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (1, 4)
    short = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=2)
    assert short.choices[0].finish_reason == "length" and short.choices[0].message.content == "Hello 1"


def test_a_stream(client):
    events = list(client.chat.completions.create(model="chat", messages=HELLO, stream=True, temperature=0, seed=1))
    assert "".join(event.choices[0].delta.content or "" for event in events) == "Hello 0 1 wörld"
    assert [event.choices[0].finish_reason for event in events][-2:] == [None, "stop"]


def test_embeddings(client):
    one = client.embeddings.create(model="embedder", input="abc")
    two = client.embeddings.create(model="embedder", input=["a", "ab"])
    assert one.data[0].embedding == [3, 1] and [item.embedding[0] for item in two.data] == [1, 2]


def test_pictures(client):
    made = client.images.generate(model="text-to-image", prompt="a red square", extra_body={"seed": 7})
    picture = Image.open(io.BytesIO(base64.b64decode(made.data[0].b64_json)))
    assert picture.getpixel((0, 0)) == (255, 0, 0)


def test_models(client):
    assert [model.id for model in client.models.list().data] == ["chat", "embedder", "text-to-image"]


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda c: c.chat.completions.create(model="chat", messages=[]), "is empty: send at least one"),
        (
            lambda c: c.chat.completions.create(model="chat", messages=[{"role": "king", "content": ""}]),
            'no role "king"',
        ),
        (lambda c: c.chat.completions.create(model="chat", messages=[{"role": "user", "content": [1]}]), "is no text"),
        (lambda c: c.chat.completions.create(model="chat", messages=["Hi"]), "no role"),
        (lambda c: c.embeddings.create(model="embedder", input=[]), "nothing to embed"),
        (lambda c: c.images.generate(model="text-to-image", prompt=" "), "nothing to draw"),
    ],
)
def test_what_is_no_request_is_refused_in_a_sentence(client, ask, told):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client)
    assert told in refused.value.body["message"] and refused.value.body["message"].endswith(".")


def test_what_a_server_lacks():
    with serve.start(serve.application(chat)) as bare:
        client = openai.OpenAI(base_url=bare.url, api_key="none", max_retries=0)
        with pytest.raises(openai.BadRequestError, match="no embedding model"):
            client.embeddings.create(model="embedder", input="a")
        with pytest.raises(openai.BadRequestError, match="no model for pictures"):
            client.images.generate(model="text-to-image", prompt="a")
    with pytest.raises(openai.APIConnectionError):
        client.models.list()


def test_a_port_that_is_taken(running):
    with pytest.raises(BookError, match=f"port {running.port} is taken"):
        serve.start(serve.application(chat), running.port)


def test_the_server_is_gone_after_a_failure():
    """A program (or a notebook's kernel) that fails without stopping the server takes it along."""
    code = (
        "from bookkit import serve\n"
        "def chat(messages, **more): return iter([])\n"
        "print(serve.start(serve.application(chat)).port, flush=True)\n"
        "raise SystemExit('a cell failed')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, timeout=60)
    assert "a cell failed" in ran.stderr and not serve.healthy(int(ran.stdout))


# --- a model behind it ------------------------------------------------------------------------------------------


class Letters:
    """A tokenizer whose tokens are bytes; 0 ends a reply."""

    eos_token_id = 0

    def apply_chat_template(self, messages, add_generation_prompt, return_dict):
        return list("".join(message["content"] for message in messages).encode()) + [1]

    def decode(self, ids, skip_special_tokens=True):
        return bytes(ids).decode("utf-8", "replace")


class Parrot:
    """A model that wants to say one text after the mark 1, whatever came before."""

    def __init__(self, text: str, limit: int = 200):
        self.ids = [1, *text.encode(), 0]
        self.config = type("Config", (), {"max_position_embeddings": limit})
        self.generation_config = type("Generation", (), {"eos_token_id": 0})

    def __call__(self, input_ids, past_key_values, use_cache):
        at = 0 if past_key_values is None else past_key_values
        logits = torch.zeros(1, 1, 256)
        logits[0, 0, self.ids[at + 1]] = 9.0
        return type("Output", (), {"logits": logits, "past_key_values": at + 1})


def test_a_reply_token_by_token():
    speak = serve.speaker(Letters(), Parrot("wörld"))
    pieces = list(speak(HELLO, likeliest=2))
    assert [piece.text for piece in pieces] == ["w", "", "ö", "r", "l", "d"]  # ö has two bytes
    assert all(-0.1 < piece.log_prob < 0 and len(piece.likeliest) == 2 for piece in pieces)
    assert len(list(speak(HELLO, max_tokens=2))) == 2


def test_a_seed_fixes_what_is_drawn():
    speak = serve.speaker(Letters(), Parrot("a" * 30))
    drawn = [[piece.log_prob for piece in speak(HELLO, 20, temperature=9.0, seed=seed)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_history_that_is_too_long():
    speak = serve.speaker(Letters(), Parrot("x", limit=10))
    with pytest.raises(ValueError, match="has 3 tokens and the reply may have 8, but the model reads 10 together"):
        speak(HELLO, max_tokens=8)
