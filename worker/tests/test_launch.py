import unittest

from spark_worker.config import Config
from spark_worker.launch import DataType, Pointer, kernel_name, launch_arguments, launch_options
from spark_worker.protocol import RequestError
from spark_worker.shape import Shape
from tests.worker import GLM

TILE = Config(64, 128, 128, 1, 4, 4)


def shape(**changes):
    return Shape.from_request({**GLM, **changes})


def arguments(role="up", config=TILE, capability=121, **changes):
    return launch_arguments(shape(**changes), role, config, capability)


class Roles(unittest.TestCase):
    def test_up_multiplies_tokens_by_both_halves(self):
        up = arguments("up")
        self.assertEqual((up["N"], up["K"], up["top_k"], up["MUL_ROUTED_WEIGHT"]), (768, 5120, 8, False))

    def test_down_reads_one_row_an_expert_and_weighs_it(self):
        down = arguments("down")
        self.assertEqual((down["N"], down["K"], down["top_k"], down["MUL_ROUTED_WEIGHT"]), (5120, 384, 1, True))
        self.assertEqual(down["ROUTER_TOPK"], 8)

    def test_up_without_a_gate_is_half_as_wide(self):
        self.assertEqual(arguments("up", gated=False)["N"], 384)


class Quantisation(unittest.TestCase):
    def strides(self, **changes):
        given = arguments(**changes)
        return tuple(given[f"stride_{name}"] for name in ("asm", "ask", "bse", "bsk", "bsn"))

    def test_per_channel(self):
        self.assertEqual(self.strides(), (1, 1, 768, 1, 1))

    def test_per_tensor(self):
        self.assertEqual(self.strides(per_channel=False), (0, 0, 0, 0, 0))

    def test_blocks(self):
        block = {"per_channel": False, "block_shape": [128, 128]}
        self.assertEqual(self.strides(**block), (40, 1, 240, 1, 40))
        self.assertEqual((arguments(**block)["group_n"], arguments(**block)["group_k"]), (128, 128))

    def test_a_ragged_last_block_has_a_scale_of_its_own(self):
        # 384 columns of 256 are two blocks.
        self.assertEqual(self.strides(role="down", per_channel=False, block_shape=[128, 256])[0], 2)

    def test_unquantised_has_no_scales(self):
        given = arguments(dtype="bfloat16", per_channel=False)
        self.assertIsNone(given["a_scale_ptr"])
        self.assertIsNone(given["b_scale_ptr"])

    def test_weight_only_scales(self):
        given = arguments(dtype="int8_w8a16", per_channel=True)
        self.assertIsNone(given["a_scale_ptr"])
        self.assertEqual(given["b_scale_ptr"], Pointer("fp32"))
        self.assertEqual(self.strides(dtype="int8_w8a16"), (0, 0, 768, 0, 1))

    def test_groups_use_the_other_kernel(self):
        given = {"dtype": "int4_w4a16", "per_channel": False, "block_shape": [0, 128]}
        self.assertEqual(kernel_name(shape(**given)), "fused_moe_kernel_gptq_awq")
        int4 = arguments(**given)
        # Two weights a byte: strides count bytes, K counts weights.
        self.assertEqual((int4["K"], int4["stride_bn"], int4["stride_be"]), (5120, 2560, 768 * 2560))
        self.assertEqual((int4["stride_bse"], int4["stride_bsn"], int4["group_size"]), (768 * 40, 40, 128))

    def test_float32_computes_in_float16(self):
        given = arguments(dtype="float32", per_channel=False)
        self.assertEqual((given["c_ptr"], given["compute_type"]), (Pointer("fp32"), DataType("float16")))

    def test_impossible_combinations_are_refused(self):
        for changes in (
            {"dtype": "int8_w8a8", "per_channel": False},
            {"dtype": "int4_w4a16"},
            {"dtype": "bfloat16", "block_shape": [128, 128]},
            {"block_shape": [0, 128]},
            {"dtype": "int8_w8a16", "block_shape": [128, 128]},
            {"block_shape": [128]},
            {"block_shape": [128, True]},
            {"dtype": "fp4"},
            {"experts": 0},
        ):
            with self.subTest(changes), self.assertRaises(RequestError) as raised:
                shape(**changes)
            self.assertEqual(raised.exception.code, "bad_request")


class Target(unittest.TestCase):
    def test_even_ks_follows_the_stored_width(self):
        self.assertTrue(arguments("up")["even_Ks"])
        self.assertFalse(arguments("down", Config(64, 128, 256, 1, 4, 3))["even_Ks"])
        packed = {"dtype": "int4_w4a16", "per_channel": False, "block_shape": [0, 128], "intermediate": 384}
        self.assertFalse(arguments("down", **packed)["even_Ks"])

    def test_experts_are_filtered_under_expert_parallelism_only(self):
        self.assertFalse(arguments()["filter_expert"])
        self.assertTrue(arguments(expert_parallel=True)["filter_expert"])

    def test_operands_are_swapped_on_hopper_only(self):
        small = Config(16, 128, 128, 1, 4, 4)
        self.assertTrue(arguments(config=small, capability=90)["swap_ab"])
        self.assertFalse(arguments(config=small, capability=121)["swap_ab"])
        self.assertFalse(arguments(config=TILE, capability=90)["swap_ab"])

    def test_dependent_launch_goes_with_the_parameter_and_the_target(self):
        self.assertTrue(launch_options(TILE, 121, {"USE_GDC"})["launch_pdl"])
        self.assertNotIn("launch_pdl", launch_options(TILE, 121, set()))
        self.assertNotIn("launch_pdl", launch_options(TILE, 89, {"USE_GDC"}))
        self.assertFalse(arguments(capability=89)["USE_GDC"])

    def test_dependents_are_launched_early_for_up_to_512_rows(self):
        def early(role, batch_size):
            return launch_arguments(shape(), role, TILE, 121, batch_size)["GDC_EARLY"]

        # A row a token going up, eight a token going down.
        self.assertEqual((early("up", 512), early("up", 513)), (True, False))
        self.assertEqual((early("down", 64), early("down", 65)), (True, False))

    def test_what_a_config_leaves_open_triton_decides(self):
        self.assertEqual(launch_options(Config(16, 32, 64, 1, None, None), 89, set()), {})


if __name__ == "__main__":
    unittest.main()
