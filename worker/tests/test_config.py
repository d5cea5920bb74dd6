import unittest

from spark_worker.config import Config, InvalidConfig
from tests.worker import config

GOOD = config(64, 128, 128, 4, 4)


class ConfigEntry(unittest.TestCase):
    def test_a_good_entry(self):
        self.assertEqual(Config.from_entry(GOOD), Config(64, 128, 128, 1, 4, 4))

    def test_warps_and_stages_may_be_left_to_triton(self):
        entry = {key: value for key, value in GOOD.items() if key.isupper()}
        self.assertEqual(Config.from_entry(entry).options, {})

    def test_use_tma_false_says_nothing(self):
        self.assertEqual(Config.from_entry({**GOOD, "USE_TMA": False}), Config.from_entry(GOOD))

    def test_the_message_names_the_key(self):
        for changes in (
            {"USE_TMA": True},
            {"BLOCK_SIZE_M": 48},
            {"BLOCK_SIZE_N": 0},
            {"BLOCK_SIZE_K": None},
            {"num_warps": 3},
            {"num_warps": 64},
            {"num_stages": True},
            {"GROUP_SIZE_M": "1"},
            {"waves_per_eu": 2},
        ):
            with self.subTest(changes), self.assertRaisesRegex(InvalidConfig, next(iter(changes))):
                Config.from_entry({**GOOD, **changes})


if __name__ == "__main__":
    unittest.main()
