"""Our specialisation beside the one Triton's launcher makes of the same arguments."""

import itertools
import unittest

from spark_worker.config import Config
from spark_worker.launch import DataType, Pointer, VaryingInteger, kernel_name, launch_arguments
from spark_worker.shape import ROLES, Shape
from spark_worker.specialise import specialise
from tests.real import needs_real_compiler, sglang_roots
from tests.worker import GLM

SHAPES = (
    GLM,
    {**GLM, "per_channel": False},
    {**GLM, "per_channel": False, "block_shape": [128, 128]},
    {**GLM, "dtype": "int8_w8a8"},
    {**GLM, "dtype": "int8_w8a16"},
    {**GLM, "dtype": "int4_w4a16", "block_shape": [0, 128]},
    {**GLM, "dtype": "float32", "top_k": 1},
    # Weights of one expert above 2 GiB: strides that need 64 bits.
    {**GLM, "dtype": "bfloat16", "intermediate": 2**19 + 8},
)
TORCH_NAMES = {
    "fp8e4nv": "float8_e4m3fn",
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp32": "float32",
    "i8": "int8",
    "u8": "uint8",
    "i32": "int32",
}


class Tensor:
    """As much of a tensor as a launcher looks at."""

    def __init__(self, element):
        self.dtype = f"torch.{TORCH_NAMES[element]}"

    def data_ptr(self):
        return 512


def launched(value):
    """What a caller would pass where our table says `value`."""
    if isinstance(value, Pointer):
        return Tensor(value.element)
    if isinstance(value, VaryingInteger):
        return 24  # neither 1 nor a multiple of 16
    return value.name if isinstance(value, DataType) else value


@needs_real_compiler
class AgainstTriton(unittest.TestCase):
    def test_types_constants_and_hints_agree(self):
        from triton.compiler import make_backend
        from triton.runtime.jit import create_function_from_signature

        from spark_worker.compiler import jit_kernels
        from spark_worker.kernel_source import find_kernel
        from spark_worker.toolchain import gpu_target

        backend = make_backend(gpu_target(121))
        for root, fields, role in itertools.product(sglang_roots(), SHAPES, ROLES):
            shape = Shape.from_request(fields)
            source, kernel = find_kernel(root), kernel_name(shape)
            with self.subTest(root=root, shape=fields, role=role):
                arguments = launch_arguments(shape, role, Config(64, 128, 128, 1, 4, 4), 121)
                parameters = source.parameters[kernel]
                function = jit_kernels(source)[kernel]
                bind = create_function_from_signature(function.signature, function.params, backend)
                _, theirs, _ = bind(*(launched(arguments[parameter.name]) for parameter in parameters))
                ours = specialise(parameters, arguments)
                for position, (parameter, (kind, key)) in enumerate(zip(parameters, theirs, strict=True)):
                    self.assertEqual(ours.signature[parameter.name], kind, parameter.name)
                    if kind == "constexpr":
                        self.assertEqual(launched(ours.constants[(position,)]), key, parameter.name)
                    else:
                        self.assertEqual((position,) in ours.hints, bool(key), parameter.name)


if __name__ == "__main__":
    unittest.main()
