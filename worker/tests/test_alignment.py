import random
import unittest

from spark_worker.alignment import RUNTIMES, align, allocated_rows
from tests.real import needs_torch


def by_hand(topk_ids, block, experts):
    """The used part of an alignment: for each expert its pairs, filled up to whole blocks."""
    pairs = [expert for row in topk_ids for expert in row]
    rows, owners = [], []
    for expert in range(experts):
        mine = [pair for pair, chosen in enumerate(pairs) if chosen == expert]
        while len(mine) % block:
            mine.append(len(pairs))
        rows += mine
        owners += [expert] * (len(mine) // block)
    return rows, owners


class Rows(unittest.TestCase):
    def test_each_version_allocates_its_own_way(self):
        # As in src/runtime/alignment.rs.
        self.assertEqual(allocated_rows("sglang-0.5.4.post2", 8, 160, 16), 8 + 161 * 15)
        self.assertEqual(allocated_rows("sglang-0.5.23", 8, 160, 16), 8 * 16)
        self.assertEqual(allocated_rows("sglang-0.5.23", 512, 160, 16), 512 + 161 * 15 + 1)

    def test_there_is_always_room(self):
        for runtime in RUNTIMES:
            for pairs, experts, block in ((1, 1, 16), (7, 8, 16), (9, 8, 64), (64, 4, 256)):
                worst = min(pairs, experts) * (block - 1) + pairs
                self.assertGreaterEqual(allocated_rows(runtime, pairs, experts, block), worst)


@needs_torch
class Alignment(unittest.TestCase):
    def check(self, topk_ids, block, experts, runtime):
        import torch

        pairs = sum(map(len, topk_ids))
        rows, owners = by_hand(topk_ids, block, experts)
        aligned = align(torch.tensor(topk_ids, dtype=torch.int32), block, experts, runtime)
        sorted_ids, expert_ids = aligned.sorted_token_ids.tolist(), aligned.expert_ids.tolist()
        self.assertEqual(aligned.num_tokens_post_padded.tolist(), [len(rows)])
        self.assertEqual(sorted_ids[: len(rows)], rows)
        self.assertEqual(set(sorted_ids[len(rows) :]) - {pairs}, set())
        self.assertEqual(expert_ids[: len(owners)], owners)
        self.assertEqual(set(expert_ids[len(owners) :]) - {-1}, set())
        self.assertEqual(len(sorted_ids), allocated_rows(runtime, pairs, experts, block))
        self.assertEqual(len(expert_ids), -(-len(sorted_ids) // block))
        for tensor in vars(aligned).values():
            self.assertEqual(tensor.dtype, torch.int32)

    def test_the_example_of_sglangs_docstring(self):
        for runtime in RUNTIMES:
            self.check([[2, 3, 4], [1, 2, 4], [1, 3, 4], [1, 2, 3]], 4, 5, runtime)

    def test_random_routings(self):
        chance = random.Random(0)
        for _ in range(300):
            experts = chance.randint(1, 40)
            top_k = chance.randint(1, min(experts, 9))
            # Often fewer tokens than a block has rows, and fewer pairs than experts.
            tokens = chance.choice((1, 2, 3, chance.randint(1, 200)))
            topk_ids = [chance.sample(range(experts), top_k) for _ in range(tokens)]
            block = chance.choice((16, 32, 64, 128, 256))
            for runtime in RUNTIMES:
                with self.subTest(tokens=tokens, experts=experts, top_k=top_k, block=block, runtime=runtime):
                    self.check(topk_ids, block, experts, runtime)


if __name__ == "__main__":
    unittest.main()
