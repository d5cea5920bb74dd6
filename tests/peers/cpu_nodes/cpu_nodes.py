"""vLLM's CPU platform on several nodes, as a platform plug-in: vLLM 0.32.0 has it on one node alone.

Its own says no resource that Ray would count, so that nothing is placed by Ray. Here a node counts as its GPU does, as
`ray start --num-gpus=1` has it.
"""

from vllm.platforms.cpu import CpuPlatform


class CpuNodes(CpuPlatform):
    ray_device_key = "GPU"

    @classmethod
    def get_device_communicator_cls(cls) -> str:
        return "cpu_sockets.CpuSockets"


def platform() -> str:
    return "cpu_nodes.CpuNodes"
