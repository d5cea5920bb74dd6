"""Write a tiny Llama with random weights and a real tokenizer: `tiny_safetensors.py FOLDER`.

A folder as model hubs have them: config.json, model.safetensors, tokenizer.json and a chat template. Two layers, 64
wide, two megabytes. The tokenizer is a byte-level BPE like that of Llama 3 or Qwen, trained here on the comments and
code of Python's own library: words have one token or several, and most tokens begin with a blank. Needs numpy,
safetensors and tokenizers.
"""

import argparse
import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD = 64, 2, 2, 1, 128
# vLLM's attention on a CPU takes 32 and more.
HEAD_WIDTH = WIDTH // HEADS
CONTEXT = 4096
SEED = 1

VOCABULARY = 4096
BEGIN, END, TURN, END_OF_TURN = "<|begin|>", "<|end|>", "<|turn|>", "<|end_of_turn|>"
# The last two are what parsers of reasoning look for.
CONTROLS = [BEGIN, END, TURN, END_OF_TURN, "<think>", "</think>"]
# As Qwen 2.5 and Llama 3 cut a text before they merge: one digit at a time, a blank belongs to the word behind it.
CUT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TRAINING_BYTES = 4_000_000

# Enough to scatter the choice of the next token; the exact factors mean nothing.
EMBEDDING_SCALE, OUTPUT_SCALE = 8.0, 3.0

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|turn|>{{ message['role'] }}\n{{ message['content'] }}<|end_of_turn|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train()
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder / "tokenizer_config.json", tokenizer_config())
    write(folder / "config.json", config(tokenizer))
    save_file(weights(tokenizer.get_vocab_size()), folder / "model.safetensors", metadata={"format": "pt"})


def train() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(CUT), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(word, special=True, normalized=False) for word in CONTROLS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    # As Llama 3's: a text of its own begins with the token, and the chat template brings it.
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))]
    )
    return tokenizer


def texts() -> Iterator[str]:
    """Python's own library, from its first file on."""
    left = TRAINING_BYTES
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text = file.read_text(errors="replace")[:left]
        left -= len(text)
        yield text


def tokenizer_config() -> dict:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END_OF_TURN,
        "pad_token": END,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def config(tokenizer: Tokenizer) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": WIDTH,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_WIDTH,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": tokenizer.token_to_id(BEGIN),
        "eos_token_id": tokenizer.token_to_id(END_OF_TURN),
        "torch_dtype": "float32",
    }


def weights(tokens: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(SEED)

    def random(rows: int, columns: int) -> np.ndarray:
        return (generator.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    tensors = {
        "model.embed_tokens.weight": random(tokens, WIDTH) * np.float32(EMBEDDING_SCALE),
        "model.norm.weight": ones,
        "lm_head.weight": random(tokens, WIDTH) * np.float32(OUTPUT_SCALE),
    }
    shapes = {
        "self_attn.q_proj": (WIDTH, WIDTH),
        "self_attn.k_proj": (KV_HEADS * HEAD_WIDTH, WIDTH),
        "self_attn.v_proj": (KV_HEADS * HEAD_WIDTH, WIDTH),
        "self_attn.o_proj": (WIDTH, WIDTH),
        "mlp.gate_proj": (FEED_FORWARD, WIDTH),
        "mlp.up_proj": (FEED_FORWARD, WIDTH),
        "mlp.down_proj": (WIDTH, FEED_FORWARD),
    }
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = random(*shape)
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = ones
        tensors[f"model.layers.{layer}.post_attention_layernorm.weight"] = ones
    return tensors


def write(file: Path, content: dict) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
