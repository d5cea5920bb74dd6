"""vLLM's communicator for CPUs, by gloo alone.

Its own takes ranks that use one port to meet for ranks of one machine, and looks for the others' shared memory
(vLLM 0.32.0: `open shm in SHMManager failed`). A file of its own, since this imports the platform, which is being
looked for while `cpu_nodes` is.
"""

from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator


class CpuSockets(CpuCommunicator):
    def _all_group_ranks_share_shm_group_name(self) -> bool:
        return False
