"""An OpenAI-compatible server for the book's own models, on this machine: chat, embeddings and pictures.

``python -m bookkit serve`` runs it in a terminal; a chapter calls :func:`application` and :func:`start`, and any
client of OpenAI's interface talks to it under ``http://127.0.0.1:PORT/v1``. It answers one request at a time, knows no
keys, and listens to this machine alone: enough to learn and to test, not to serve strangers.
"""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bookkit.errors import BookError

if TYPE_CHECKING:
    from fastapi import FastAPI

ROLES = ("system", "user", "assistant")
HOST, PORT = "127.0.0.1", 8008


# --- a chat model, token by token ----------------------------------------------------------------------------


@dataclass
class Piece:
    """One token of a reply: its text, its log-probability, and the likeliest tokens at its position."""

    text: str
    log_prob: float
    likeliest: list[tuple[str, float]]


Speak = Callable[..., Iterator[Piece]]  # with an attribute `count`: the tokens of a list of messages


def speaker(tokenizer, model) -> Speak:
    """A function that writes the reply to a list of messages, one token after the other.

    The function takes `messages`, `max_tokens`, `temperature` (0 is greedy), `seed` and `likeliest`, the number of
    alternatives to report. It raises a ValueError of one sentence where the messages are no conversation, or too long.
    """
    import torch

    limit = model.config.max_position_embeddings
    stops = model.generation_config.eos_token_id
    stops = set(stops if isinstance(stops, list) else [stops]) | {tokenizer.eos_token_id}

    def speak(
        messages: Sequence[dict],
        max_tokens: int = 128,
        temperature: float = 0.0,
        seed: int | None = None,
        likeliest: int = 0,
    ) -> Iterator[Piece]:
        check(messages)
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        if len(ids) + max_tokens > limit:
            raise ValueError(
                f"The history has {len(ids):,} tokens and the reply may have {max_tokens:,}, but the model reads "
                f"{limit:,} together: leave out the oldest messages, or send a summary of them."
            )
        return written(ids, max_tokens, temperature, seed, likeliest)

    def count(messages: Sequence[dict]) -> int:
        return len(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))

    @torch.inference_mode()
    def written(ids, max_tokens, temperature, seed, likeliest):
        generator = torch.Generator()
        generator.manual_seed(seed) if seed is not None else generator.seed()
        new, cache, told = torch.tensor([ids]), None, ""
        made: list[int] = []
        for _ in range(max_tokens):
            output = model(input_ids=new, past_key_values=cache, use_cache=True)
            cache, log_probs = output.past_key_values, output.logits[0, -1].float().log_softmax(-1)
            if temperature > 0:
                token = torch.multinomial((log_probs / temperature).softmax(-1), 1, generator=generator).item()
            else:
                token = log_probs.argmax().item()
            if token in stops:
                return
            made.append(token)
            text = tokenizer.decode(made, skip_special_tokens=True)
            text = text if not text.endswith("\ufffd") else told  # a character whose other bytes are still to come
            values, best = log_probs.topk(likeliest) if likeliest else ([], [])
            others = [(tokenizer.decode([int(i)]), float(v)) for i, v in zip(best, values, strict=True)]
            yield Piece(text[len(told) :], log_probs[token].item(), others)
            told, new = text, torch.tensor([[token]])

    speak.count = count  # the tokens of a history, as the interface reports them
    return speak


def check(messages: Any) -> None:
    """Raise a ValueError of one sentence where messages are no conversation."""
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise ValueError("The list of messages is empty: send at least one, with a role and a content.")
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            raise ValueError(f'There is no role "{role}": the roles are system, user and assistant.')
        if not isinstance(message.get("content"), str):
            raise ValueError(f'The content of a message of the role "{role}" is no text: send a string.')


# --- the application ------------------------------------------------------------------------------------------


def application(
    chat: Speak,
    embed: Callable[[list[str]], Any] | None = None,
    draw: Callable[[str, int | None], Any] | None = None,
    name: str = "chat",
) -> FastAPI:
    """The server's answers: /health, and below /v1 models, chat/completions, embeddings and images/generations.

    Args:
        chat: as :func:`speaker` makes it.
        embed: texts → vectors.
        draw: a prompt and a seed → a PIL image.
        name: under which the chat model is listed.
    """
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse, StreamingResponse

    app, one_at_a_time = FastAPI(title="Generative AI, Cell by Cell"), threading.Lock()

    @app.exception_handler(ValueError)
    def refuse(_: Request, error: ValueError) -> JSONResponse:
        said = {"message": str(error), "type": "invalid_request_error", "param": None, "code": None}
        return JSONResponse({"error": said}, status_code=400)

    @app.get("/health")
    def health() -> dict:
        return {"status": "ok"}

    @app.get("/v1/models")
    def models() -> dict:
        names = [name] + ["embedder"] * bool(embed) + ["text-to-image"] * bool(draw)
        return {
            "object": "list",
            "data": [{"id": n, "object": "model", "created": 0, "owned_by": "book"} for n in names],
        }

    @app.post("/v1/chat/completions")
    def completions(body: dict):
        limit = int(body.get("max_completion_tokens") or body.get("max_tokens") or 128)
        pieces = chat(
            body.get("messages"),
            max_tokens=limit,
            temperature=float(1.0 if body.get("temperature") is None else body["temperature"]),
            seed=body.get("seed"),
            likeliest=int(body.get("top_logprobs") or 0),
        )
        wanted = bool(body.get("logprobs"))
        about = {"id": f"chatcmpl-{time.time_ns():x}", "created": int(time.time()), "model": name}
        if body.get("stream"):
            return StreamingResponse(events(pieces, limit, wanted, about), media_type="text/event-stream")
        with one_at_a_time:
            said = list(pieces)
        message = {"role": "assistant", "content": "".join(piece.text for piece in said)}
        choice = {"index": 0, "message": message, "finish_reason": "length" if len(said) == limit else "stop"}
        choice["logprobs"] = {"content": [as_json(piece) for piece in said]} if wanted else None
        read = chat.count(body["messages"])
        usage = {"prompt_tokens": read, "completion_tokens": len(said), "total_tokens": read + len(said)}
        return {**about, "object": "chat.completion", "choices": [choice], "usage": usage}

    def events(pieces: Iterator[Piece], limit: int, wanted: bool, about: dict) -> Iterator[str]:
        def event(delta: dict, logprobs: dict | None = None, ended: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": ended}
            return f"data: {json.dumps({**about, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"

        count = 0
        with one_at_a_time:
            for piece in pieces:
                count += 1
                yield event({"content": piece.text}, {"content": [as_json(piece)]} if wanted else None)
        yield event({}, ended="length" if count == limit else "stop")
        yield "data: [DONE]\n\n"

    @app.post("/v1/embeddings")
    def embeddings(body: dict) -> dict:
        if embed is None:
            raise ValueError("This server has no embedding model.")
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError("There is nothing to embed: send a text or a list of texts as input.")
        with one_at_a_time:
            vectors = [[float(value) for value in vector] for vector in embed(texts)]
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        return {"object": "list", "data": data, "model": "embedder", "usage": {"prompt_tokens": 0, "total_tokens": 0}}

    @app.post("/v1/images/generations")
    def images(body: dict) -> dict:
        if draw is None:
            raise ValueError("This server has no model for pictures.")
        if not isinstance(body.get("prompt"), str) or not body["prompt"].strip():
            raise ValueError("There is nothing to draw: send a prompt.")
        buffer = io.BytesIO()
        with one_at_a_time:
            draw(body["prompt"], body.get("seed")).save(buffer, "png")
        return {"created": int(time.time()), "data": [{"b64_json": base64.b64encode(buffer.getvalue()).decode()}]}

    return app


def as_json(piece: Piece) -> dict:
    """A token as the interface reports it."""

    def told(text: str, value: float) -> dict:
        return {"token": text, "logprob": value, "bytes": list(text.encode("utf-8"))}

    return {**told(piece.text, piece.log_prob), "top_logprobs": [told(*one) for one in piece.likeliest]}


# --- starting and stopping ------------------------------------------------------------------------------------


class Running:
    """A server that runs in a thread of this process, and therefore ends with it at the latest."""

    def __init__(self, server, thread: threading.Thread, port: int):
        self._server, self._thread, self.port = server, thread, port
        self.url = f"http://{HOST}:{port}/v1"

    def stop(self) -> None:
        """End the server, and wait until its port is free; does nothing where it has ended."""
        self._server.should_exit = True
        self._thread.join(timeout=10)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(app: FastAPI, port: int = 0, seconds: float = 20) -> Running:
    """Start a server, and return once it says that it is well.

    Args:
        app: the application.
        port: to listen at; 0 takes a free one.
        seconds: to wait for it.

    Raises:
        BookError: the port is taken, or the server does not come up.
    """
    import uvicorn

    listening = listen(port)
    settings = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    running = Running(server, thread, listening.getsockname()[1])
    ends = time.monotonic() + seconds
    while not healthy(running.port):
        if time.monotonic() > ends or not thread.is_alive():
            running.stop()
            raise BookError(f"The server did not come up within {seconds:g} seconds: restart the kernel and try again.")
        time.sleep(0.05)
    return running


def listen(port: int) -> socket.socket:
    """A socket that listens to this machine alone.

    Raises:
        BookError: the port is taken, or there is none of this number.
    """
    listening = socket.socket()
    try:
        listening.bind((HOST, port))
        listening.listen()
    except OSError:
        listening.close()
        raise BookError(f"The port {port} is taken by another program: choose another, or 0 for a free one.") from None
    except OverflowError:
        listening.close()
        raise BookError(f"There is no port {port}: choose one from 1024 to 65535, or 0 for a free one.") from None
    return listening


def healthy(port: int) -> bool:
    """Whether a server answers at a port that it is well."""
    import http.client

    asked = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        asked.request("GET", "/health")
        return asked.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


# --- the book's own models ------------------------------------------------------------------------------------


def of_the_book() -> FastAPI:
    """The application with the roles chat, embedder and text-to-image; the last two are loaded when first asked."""
    import torch
    import transformers

    from bookkit import models

    transformers.utils.logging.disable_progress_bar()
    where = {"pretrained_model_name_or_path": models.model("chat"), "revision": models.revision("chat")}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()

    @lru_cache(maxsize=1)
    def embedder():
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(models.model("embedder"), revision=models.revision("embedder"))

    @lru_cache(maxsize=1)
    def pictures():
        from diffusers import DDIMScheduler, StableDiffusionPipeline

        pipe = StableDiffusionPipeline.from_pretrained(
            models.model("text-to-image"), revision=models.revision("text-to-image"), dtype=torch.float32
        )
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def draw(prompt: str, seed: int | None):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return pictures()(prompt, num_inference_steps=20, guidance_scale=2.0, generator=generator).images[0]

    return application(speaker(tokenizer, model), lambda texts: embedder().encode(texts), draw)


def serve(port: int = PORT) -> None:
    """Run the book's server until Ctrl-C."""
    listen(port).close()  # told before the models are loaded
    with start(of_the_book(), port) as running:
        print(f"The book's models answer at {running.url} until you press Ctrl-C.", flush=True)
        while True:
            time.sleep(3600)
