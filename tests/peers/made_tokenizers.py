"""Tokenizers for clients that cannot do without one, made on the spot: nothing is downloaded.

The mock answers in tokens whatever the text is, so these have to be no model's. `write_words` has 8,192 words
each with the blank before it, so that N ids are N words. `write_bytes` has one token a byte, for clients that cut
their prompts out of English text.
"""

import json
from pathlib import Path

WORDS = 8192
SPECIAL = ("<unk>", "<s>", "</s>")


def write_words(folder: Path) -> None:
    vocabulary = {f"w{i}": i for i in range(WORDS)} | {text: WORDS + i for i, text in enumerate(SPECIAL)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    # White space on its own is a token, too: SGLang's client divides by the tokens of a chunk.
    pieces = {"Regex": r"\s?\S+|\s+"}
    splitter = {"type": "Split", "pattern": pieces, "behavior": "Removed", "invert": True}
    _write(folder, model, splitter, None, vocabulary)


def write_bytes(folder: Path) -> None:
    vocabulary = {text: i for i, text in enumerate((*_byte_characters(), *SPECIAL))}
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    _write(folder, model, byte_level, byte_level, vocabulary)


def publish(folder: Path, home: Path, name: str) -> None:
    """Lay the tokenizer below a Hugging Face home as if `name` had been downloaded."""
    commit = "0" * 40
    model = home / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = model / "snapshots" / commit
    snapshot.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    (model / "refs").mkdir(exist_ok=True)
    (model / "refs" / "main").write_text(commit)


def _byte_characters() -> list[str]:
    """The printable characters that byte-level vocabularies write bytes as, in the order of the bytes."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(0x100)]


def _write(folder: Path, model: dict, splitter: dict, decoder: dict | None, vocabulary: dict[str, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    added = [
        {"id": vocabulary[text], "content": text, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for text in SPECIAL
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": splitter,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "model_max_length": 1_000_000,
        "chat_template": "{% for message in messages %}{{ message['content'] }}{% endfor %}",
    }
    # What tells a tokenizer's loader that this is a model's folder.
    architecture = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": len(vocabulary)}
    for name, content in (
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", settings),
        ("config.json", architecture),
    ):
        (folder / name).write_text(json.dumps(content))
