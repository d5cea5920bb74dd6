"""Write a tiny Llama with random weights: `tiny_gguf.py FILE [--characters]`. Needs gguf and numpy.

Two layers, 64 wide, half a megabyte: a model server takes it as any other and answers in milliseconds what makes
no sense. Its vocabulary has a token for each byte and one for each printable ASCII character. With --characters
it says these alone, so that every token is a character and an event; without, tokens are bytes, most of them
pieces of characters, so that a server holds tokens back and puts several into one event.
"""

import argparse

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD = 64, 2, 4, 2, 128
HEAD_WIDTH = WIDTH // HEADS
CONTEXT = 32_768
SEED = 1

CONTROLS = [b"<unk>", b"<s>", b"</s>"]
BYTES = [f"<0x{byte:02X}>".encode() for byte in range(256)]
# The first is how sentencepiece writes a blank.
CHARACTERS = ["\u2581".encode(), *(bytes([code]) for code in range(33, 127))]
UNKNOWN, BEGIN, END = range(3)
TOKENS = [*CONTROLS, *BYTES, *CHARACTERS]

# Enough to scatter the choice of the next token; the exact factors mean nothing.
EMBEDDING_SCALE, OUTPUT_SCALE = 8.0, 3.0
# What makes a token impossible, in the dimension that --characters keeps constant.
NEVER, CONSTANT = -50.0, 4.0

CHAT_TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--characters", action="store_true", help="say printable ASCII characters only")
    options = parser.parse_args()
    writer = gguf.GGUFWriter(options.file, "llama")
    describe(writer)
    add_vocabulary(writer)
    for name, tensor in weights(options.characters).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def add_vocabulary(writer: gguf.GGUFWriter) -> None:
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * len(BYTES) + [gguf.TokenType.NORMAL] * len(CHARACTERS)
    unranked = len(CONTROLS) + len(BYTES)
    scores = [0.0] * unranked + [-1.0 - rank for rank in range(len(CHARACTERS))]
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_scores(scores)
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def weights(characters: bool) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(SEED)

    def random(rows: int, columns: int) -> np.ndarray:
        return (generator.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    embedding = random(len(TOKENS), WIDTH) * np.float32(EMBEDDING_SCALE)
    output = random(len(TOKENS), WIDTH) * np.float32(OUTPUT_SCALE)
    if characters:
        # Dimension 0 is the same for every input, so its output weights are a bias.
        embedding[:, 0] = CONSTANT
        output[:, 0] = 0.0
        output[[UNKNOWN, BEGIN], 0] = NEVER
        output[len(CONTROLS) : len(CONTROLS) + len(BYTES), 0] = NEVER
    tensors = {"token_embd.weight": embedding, "output_norm.weight": ones, "output.weight": output}
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (KV_HEADS * HEAD_WIDTH, WIDTH),
        "attn_v": (KV_HEADS * HEAD_WIDTH, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (FEED_FORWARD, WIDTH),
        "ffn_up": (FEED_FORWARD, WIDTH),
        "ffn_down": (WIDTH, FEED_FORWARD),
    }
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            tensor = tensors[f"blk.{layer}.{name}.weight"] = random(*shape)
            if characters and name in ("attn_output", "ffn_down"):
                tensor[0] = 0.0  # These write to the residual stream, where dimension 0 must stay as it is.
        tensors[f"blk.{layer}.attn_norm.weight"] = ones
        tensors[f"blk.{layer}.ffn_norm.weight"] = ones
    return tensors


if __name__ == "__main__":
    main()
