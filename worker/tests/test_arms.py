import unittest

from spark_worker.arms import arms_of, order_of
from spark_worker.protocol import RequestError
from tests.worker import config

SMALL, WIDE = config(16, 32, 32, 4, 2), config(32, 32, 32, 4, 2)


class Arms(unittest.TestCase):
    def refused(self, *arms, order=()):
        with self.assertRaises(RequestError) as raised:
            order_of({"order": list(order)}, arms_of({"arms": list(arms)}))
        self.assertEqual(raised.exception.code, "bad_request")
        return raised.exception.message

    def test_an_arm_is_one_kernel_or_the_path_through_both(self):
        up, path = arms_of({"arms": [{"role": "up", "config": SMALL}, {"role": "path", "up": SMALL, "down": SMALL}]})
        self.assertEqual((list(up.configs), list(path.configs)), (["up"], ["up", "down"]))
        self.assertEqual(path.block_m, 16)

    def test_a_path_has_one_block_size_m(self):
        self.assertIn("BLOCK_SIZE_M", self.refused({"role": "path", "up": SMALL, "down": WIDE}))

    def test_a_config_nobody_can_compile_is_the_arms_own_failure(self):
        (arm,) = arms_of({"arms": [{"role": "up", "config": {**SMALL, "USE_TMA": True}}]})
        self.assertIn("TMA", arm.invalid)

    def test_group_size_is_no_part_of_a_tile(self):
        one, other = arms_of({"arms": [{"role": "up", "config": {**SMALL, "GROUP_SIZE_M": g}} for g in (1, 64)]})
        self.assertEqual(one.tile, other.tile)
        self.assertNotEqual(one, other)

    def test_what_is_wrong_is_named(self):
        self.assertIn("role", self.refused({"role": "sideways", "config": SMALL}))
        self.assertIn("config", self.refused({"role": "up"}))
        self.assertIn("down", self.refused({"role": "path", "up": SMALL}))
        self.assertIn("objects", self.refused(3))
        for index in (1, -1, True, "0"):
            self.assertIn("order", self.refused({"role": "up", "config": SMALL}, order=[0, index]))


if __name__ == "__main__":
    unittest.main()
