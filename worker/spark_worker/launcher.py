"""Launches SGLang's kernel through Triton's own launcher, with the arguments of `launch`."""

from spark_worker.compiler import launchable
from spark_worker.launch import (
    DataType,
    Pointer,
    VaryingInteger,
    kernel_name,
    known_parameters,
    launch_arguments,
    launch_options,
)
from spark_worker.launcher_hints import TORCH_NAMES


class Launcher:
    """One kernel source and one shape, on one device."""

    def __init__(self, triton, source, shape, capability):
        name = kernel_name(shape)
        self.capability = capability
        self.shape = shape
        self.triton = triton
        self.names = [parameter.name for parameter in source.parameters_of(name, known_parameters(name))]
        self.function = launchable(source, name)


class Launch:
    """One kernel with everything it is given; calling it runs it. `sized_for` is the batch size it
    is compiled for, where the check runs it on fewer tokens."""

    def __init__(self, launcher, role, config, *, operands, routed, alignment, sized_for):
        self._function = launcher.function
        gemm = launcher.shape.gemm(role)
        arguments = launch_arguments(launcher.shape, role, config, launcher.capability, sized_for)
        values = {
            "a_ptr": operands.a,
            "b_ptr": operands.b,
            "c_ptr": operands.c,
            "a_scale_ptr": operands.a_scale,
            "b_scale_ptr": operands.b_scale,
            "topk_weights_ptr": routed.weights,
            "sorted_token_ids_ptr": alignment.sorted_token_ids,
            "expert_ids_ptr": alignment.expert_ids,
            "num_tokens_post_padded_ptr": alignment.num_tokens_post_padded,
            "EM": alignment.rows,
            "num_valid_tokens": routed.ids.numel(),
        }
        language = launcher.triton.language
        self._keywords = {
            **{name: _value(name, arguments[name], values, language) for name in launcher.names},
            **launch_options(config, launcher.capability, launcher.names),
        }
        self._grid = (_ceil_div(alignment.rows, config.block_m) * _ceil_div(gemm.n, config.block_n),)

    def compile(self):
        """Compile, or find compiled, without launching: a failure here has not touched the device."""
        self._function.run(grid=self._grid, warmup=True, **self._keywords)

    def __call__(self):
        self._function[self._grid](**self._keywords)


def _value(name, stated, values, language):
    if isinstance(stated, DataType):
        return getattr(language, stated.name)
    if isinstance(stated, Pointer):
        tensor = values[name]
        expected = TORCH_NAMES[stated.element]
        if str(tensor.dtype) != f"torch.{expected}":
            raise TypeError(f"{name} holds {tensor.dtype}, not {expected}")
        return tensor
    return values[name] if isinstance(stated, VaryingInteger) else stated


def _ceil_div(value, divisor):
    return -(-value // divisor)
