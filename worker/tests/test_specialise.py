import unittest

from spark_worker.kernel_source import Parameter
from spark_worker.launch import DataType, Pointer, VaryingInteger
from spark_worker.specialise import specialise


def one(value, is_constexpr=False):
    special = specialise([Parameter("x", is_constexpr)], {"x": value})
    return special.signature["x"], (0,) in special.constants, (0,) in special.hints


class Specialise(unittest.TestCase):
    def test_none_and_one_become_constants(self):
        self.assertEqual(one(None), ("constexpr", True, False))
        self.assertEqual(one(1), ("constexpr", True, False))

    def test_multiples_of_16_carry_a_hint_and_zero_is_one(self):
        self.assertEqual(one(5120), ("i32", False, True))
        self.assertEqual(one(0), ("i32", False, True))
        self.assertEqual(one(24), ("i32", False, False))

    def test_integers_grow_to_64_bits_by_value(self):
        self.assertEqual(one(2**31 - 1)[0], "i32")
        self.assertEqual(one(2**31)[0], "i64")

    def test_an_integer_that_varies_carries_no_hint(self):
        self.assertEqual(one(VaryingInteger()), ("i32", False, False))

    def test_pointers_are_aligned(self):
        self.assertEqual(one(Pointer("fp8e4nv")), ("*fp8e4nv", False, True))

    def test_a_declared_constant_is_one_whatever_its_value(self):
        for value in (0, 16, True, DataType("bfloat16"), None):
            self.assertEqual(one(value, is_constexpr=True), ("constexpr", True, False))

    def test_a_bool_at_run_time_is_refused(self):
        with self.assertRaises(TypeError):
            one(True)


if __name__ == "__main__":
    unittest.main()
