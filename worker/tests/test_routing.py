import unittest

from spark_worker.protocol import RequestError
from spark_worker.routing import Routing, check_counts
from tests.real import needs_torch

EXPERTS, TOP_K = 64, 6


class Fields(unittest.TestCase):
    def test_kinds_and_seeds_are_checked(self):
        self.assertEqual(Routing.from_request({"kind": "skewed", "seed": 3}), Routing("skewed", 3))
        for source in ({"kind": "random"}, {"kind": "uniform", "seed": -1}, {}):
            with self.subTest(source), self.assertRaises(RequestError):
                Routing.from_request(source)

    def test_counts_that_leave_no_choice_are_refused(self):
        for experts, top_k, fused_shared in ((8, 2, 3), (4, 5, 0)):
            with self.subTest(experts=experts), self.assertRaises(RequestError):
                check_counts(experts, top_k, fused_shared)


@needs_torch
class Draws(unittest.TestCase):
    def draw(self, kind="uniform", seed=0, tokens=500, fused_shared=0):
        ids, weights = Routing(kind, seed).draw(tokens, EXPERTS, TOP_K, fused_shared)
        return ids.tolist(), weights.tolist()

    def test_the_experts_of_a_token_are_distinct_and_exist(self):
        for kind in ("uniform", "skewed"):
            for row in self.draw(kind)[0]:
                self.assertEqual(len(set(row)), TOP_K)
                self.assertTrue(all(0 <= expert < EXPERTS for expert in row))

    def test_a_seed_is_a_routing(self):
        self.assertEqual(self.draw(seed=7), self.draw(seed=7))
        self.assertNotEqual(self.draw(seed=7)[0], self.draw(seed=8)[0])
        # The very numbers: a routing is named by its seed in results that outlive this machine.
        self.assertEqual(self.draw(seed=7, tokens=2)[0], FIRST_OF_SEED_7)

    def test_weights_are_positive_and_renormalised(self):
        for row in self.draw()[1]:
            self.assertAlmostEqual(sum(row), 1, places=5)
            self.assertGreater(min(row), 0)

    def test_fused_shared_experts_are_the_last_and_take_every_token(self):
        for row in self.draw(fused_shared=2)[0]:
            self.assertEqual(row[-2:], [EXPERTS - 2, EXPERTS - 1])
            self.assertEqual(len(set(row)), TOP_K)

    def test_skewed_is_skewed_and_uniform_is_not(self):
        def share_of_the_busiest(kind):
            counts = [0] * EXPERTS
            for row in self.draw(kind, tokens=2000)[0]:
                for expert in row:
                    counts[expert] += 1
            return max(counts) / 2000

        # Of every token, 6 of 64 are 9 %; under Zipf's law the first expert has 21 % of each draw.
        self.assertLess(share_of_the_busiest("uniform"), 0.13)
        self.assertGreater(share_of_the_busiest("skewed"), 0.6)


FIRST_OF_SEED_7 = [[26, 46, 52, 0, 31, 23], [0, 47, 46, 43, 56, 11]]

if __name__ == "__main__":
    unittest.main()
