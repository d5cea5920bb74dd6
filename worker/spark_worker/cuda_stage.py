"""Where kernels are run and timed: the one place that knows CUDA's streams, graphs and events.

    stage.device            what torch calls it
    stage.capability        as in a compile request's target
    stage.flush_bytes       written between two runs
    stage.free_bytes()      what can still be allocated
    stage.release()         give back what is no longer used
    stage.synchronize()     wait, and raise what went wrong on the way
    stage.record(run)       something to pass to `time_us` again and again
    stage.time_us(record)   one run of it, timed, with cold caches
    stage.conditions()      clock, temperature, power, throttling

A test has a look-alike of its own; nothing in this package chooses another one.
"""

from spark_worker.gpu import Driver, Monitor, usable
from spark_worker.protocol import RequestError

# Twice the L2 cache, so that not even half of it survives. And long enough to write that the
# launch of the run is in the queue before the device gets there: the events then
# enclose the run alone, not the time the CPU took to ask for it.
_CACHES_FLUSHED = 2
_LEAST_FLUSH_BYTES = 64 * 2**20


class CudaStage:
    device = "cuda"

    def __init__(self, torch):
        # Answers `no_gpu` in our words where torch would raise something of its own.
        driver = Driver()
        if not torch.cuda.is_available():
            raise RequestError("no_gpu", f"torch {torch.__version__} cannot use {driver.name}")
        self._torch = torch
        self._monitor = Monitor(driver.bus_id)
        properties = torch.cuda.get_device_properties(0)
        self.capability = 10 * properties.major + properties.minor
        self._integrated = bool(properties.is_integrated)
        self.flush_bytes = max(_CACHES_FLUSHED * properties.L2_cache_size, _LEAST_FLUSH_BYTES)
        # A graph cannot be captured on the default stream, and all work is on one.
        torch.cuda.set_stream(torch.cuda.Stream())
        self._start = torch.cuda.Event(enable_timing=True)
        self._end = torch.cuda.Event(enable_timing=True)
        self._flush = torch.empty(self.flush_bytes, dtype=torch.uint8, device=self.device)

    def free_bytes(self):
        free, _ = self._torch.cuda.mem_get_info()
        return usable(free, self._integrated)

    def release(self):
        self._torch.cuda.empty_cache()

    def synchronize(self):
        self._torch.cuda.synchronize()

    def record(self, run):
        """A CUDA graph of exactly one run: the CPU's part of a launch is no part of its time."""
        graph = self._torch.cuda.CUDAGraph()
        self._torch.cuda.synchronize()
        graph.capture_begin()
        run()
        graph.capture_end()
        return graph

    def time_us(self, graph):
        self._flush.zero_()
        self._start.record()
        graph.replay()
        self._end.record()
        self._end.synchronize()
        return self._start.elapsed_time(self._end) * 1000

    def conditions(self):
        return self._monitor.conditions()
