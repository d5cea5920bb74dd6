"""The order in which CUDA is asked for things. What it answers, only a GPU can show."""

import unittest
from unittest import mock

from spark_worker.cuda_stage import CudaStage
from spark_worker.protocol import RequestError
from tests.real import needs_torch


class FakeTorch:
    """Writes down what is asked of it."""

    uint8 = "uint8"

    def __init__(self, l2_bytes):
        self.said = []
        self.cuda = mock.Mock()
        properties = mock.Mock(major=12, minor=1, L2_cache_size=l2_bytes, is_integrated=1)
        self.cuda.get_device_properties.return_value = properties
        self.cuda.mem_get_info.return_value = (1000, 2000)
        self.cuda.synchronize.side_effect = lambda: self.said.append("synchronize")
        self.cuda.Event.side_effect = [self.event("start"), self.event("end")]
        self.cuda.CUDAGraph.side_effect = lambda: self.noted("graph", "capture_begin", "capture_end", "replay")

    def empty(self, size, dtype, device):
        self.flushed = size
        return self.noted("flush", "zero_")

    def event(self, name):
        event = self.noted(name, "record", "synchronize")
        event.elapsed_time.return_value = 0.0125
        return event

    def noted(self, name, *methods):
        thing = mock.Mock()
        for method in methods:
            getattr(thing, method).side_effect = lambda method=method: self.said.append(f"{name}.{method}")
        return thing


class Stage(unittest.TestCase):
    def stage(self, l2_bytes=2**26):
        torch = FakeTorch(l2_bytes)
        with mock.patch("spark_worker.cuda_stage.Driver"), mock.patch("spark_worker.cuda_stage.Monitor"):
            return CudaStage(torch), torch

    def test_one_run_is_recorded_off_the_default_stream(self):
        stage, torch = self.stage()
        torch.cuda.set_stream.assert_called_once()
        stage.record(lambda: torch.said.append("run"))
        self.assertEqual(torch.said, ["synchronize", "graph.capture_begin", "run", "graph.capture_end"])

    def test_a_time_encloses_the_replay_and_not_the_flush(self):
        stage, torch = self.stage()
        graph = stage.record(lambda: None)
        torch.said.clear()
        self.assertEqual(stage.time_us(graph), 12.5)
        self.assertEqual(torch.said, ["flush.zero_", "start.record", "graph.replay", "end.record", "end.synchronize"])

    def test_twice_the_cache_is_flushed_and_never_little(self):
        self.assertEqual(self.stage(l2_bytes=2**26)[1].flushed, 2**27)
        self.assertEqual(self.stage(l2_bytes=2**20)[1].flushed, 2**26)

    def test_a_torch_that_cannot_use_the_gpu(self):
        torch = FakeTorch(2**26)
        torch.cuda.is_available.return_value = False
        torch.__version__ = "2.9.0+cpu"
        with mock.patch("spark_worker.cuda_stage.Driver"), self.assertRaises(RequestError) as raised:
            CudaStage(torch)
        self.assertEqual(raised.exception.code, "no_gpu")
        self.assertIn("2.9.0+cpu", raised.exception.message)

    def test_capability_and_memory_of_a_shared_kind(self):
        stage, _ = self.stage()
        self.assertEqual(stage.capability, 121)
        self.assertGreater(stage.free_bytes(), 1000)


@needs_torch
class Names(unittest.TestCase):
    def test_torch_has_what_the_stage_asks_for(self):
        import torch

        for name in ("Stream", "Event", "CUDAGraph", "set_stream", "synchronize", "empty_cache", "mem_get_info"):
            self.assertTrue(hasattr(torch.cuda, name), name)
        for name in ("capture_begin", "capture_end", "replay"):
            self.assertTrue(hasattr(torch.cuda.CUDAGraph, name), name)
        for name in ("elapsed_time", "record", "synchronize"):
            self.assertTrue(hasattr(torch.cuda.Event, name), name)
        self.assertTrue(issubclass(torch.OutOfMemoryError, RuntimeError))


if __name__ == "__main__":
    unittest.main()
