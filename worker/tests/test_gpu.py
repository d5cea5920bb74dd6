import os
import unittest

from spark_worker.gpu import describe, usable
from spark_worker.protocol import RequestError
from tests.worker import Worker

ATTRIBUTES = {16: 48, 18: 1, 38: 25165824, 75: 12, 76: 1, 97: 101376}


def write(reference, value):
    reference._obj.value = value
    return 0


class FakeDriver:
    """libcuda of a GB10, as far as it is asked."""

    devices = 1
    context = 0

    def cuInit(self, flags):
        return 0

    def cuDeviceGetCount(self, count):
        return write(count, self.devices)

    def cuDeviceGet(self, device, ordinal):
        return write(device, ordinal)

    def cuDeviceGetName(self, buffer, length, device):
        buffer.value = b"NVIDIA GB10"
        return 0

    def cuDeviceGetPCIBusId(self, buffer, length, device):
        buffer.value = b"000F:01:00.0"
        return 0

    def cuDeviceGetAttribute(self, value, number, device):
        return write(value, ATTRIBUTES[number])

    def cuDevicePrimaryCtxRetain(self, context, device):
        self.context += 1
        return write(context, 4096)

    def cuCtxPushCurrent_v2(self, context):
        return 0

    def cuMemGetInfo_v2(self, free, total):
        assert self.context == 1
        return write(free, 1000) or write(total, 2**37)

    def cuCtxPopCurrent_v2(self, context):
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, device):
        self.context -= 1
        return 0

    def cuGetErrorName(self, status, name):
        return write(name, b"CUDA_ERROR_NO_DEVICE")


class FakeMonitor:
    """libnvidia-ml of an older driver that knows clocks and reasons but no power."""

    def nvmlInit_v2(self):
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus_id, handle):
        assert bus_id == b"000F:01:00.0"
        return write(handle, 1)

    def nvmlDeviceGetClockInfo(self, handle, kind, clock):
        return write(clock, 850)

    def nvmlDeviceGetMaxClockInfo(self, handle, kind, clock):
        return write(clock, 3003)

    def nvmlDeviceGetTemperature(self, handle, sensor, degrees):
        return write(degrees, 61)

    def nvmlDeviceGetPowerUsage(self, handle, milliwatts):
        return 3  # NVML_ERROR_NOT_SUPPORTED

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle, mask):
        return write(mask, 0x4 | 0x80)

    def nvmlSystemGetDriverVersion(self, buffer, length):
        buffer.value = b"580.95.05"
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle, count, entries):
        entries[0].pid, entries[1].pid = os.getpid(), 4711
        return write(count, 2)


def load(libraries):
    def loader(name):
        if name not in libraries:
            raise OSError(f"{name}: cannot open shared object file")
        return libraries[name]

    return loader


class Device(unittest.TestCase):
    def test_what_is_told(self):
        driver = FakeDriver()
        told = describe(load({"libcuda.so.1": driver, "libnvidia-ml.so.1": FakeMonitor()}))
        self.assertGreaterEqual(told.pop("memory_free"), 1000)
        self.assertEqual(
            told,
            {
                "name": "NVIDIA GB10",
                "capability": 121,
                "shared_memory_per_block": 101376,
                "multiprocessors": 48,
                "l2_bytes": 25165824,
                "memory_total": 2**37,
                "driver": "580.95.05",
                "clock_mhz": 850,
                "max_clock_mhz": 3003,
                "temperature_c": 61,
                "power_w": None,
                "throttle": ["sw_power_cap", "hw_power_brake_slowdown"],
                "other_processes": [4711],
            },
        )
        self.assertEqual(driver.context, 0)

    def test_without_nvml_its_share_is_null(self):
        told = describe(load({"libcuda.so.1": FakeDriver()}))
        self.assertEqual((told["name"], told["clock_mhz"], told["driver"]), ("NVIDIA GB10", None, None))
        self.assertEqual((told["throttle"], told["other_processes"]), ([], []))

    def test_no_gpu_is_told_in_words(self):
        blind, broken = FakeDriver(), FakeDriver()
        blind.devices = 0
        broken.cuInit = lambda flags: 100
        for libraries, words in (
            ({}, "no CUDA driver"),
            ({"libcuda.so.1": blind}, "shows no GPU"),
            ({"libcuda.so.1": broken}, "CUDA_ERROR_NO_DEVICE"),
        ):
            with self.subTest(words), self.assertRaises(RequestError) as raised:
                describe(load(libraries))
            self.assertEqual(raised.exception.code, "no_gpu")
            self.assertIn(words, raised.exception.message)

    def test_shared_memory_counts_what_linux_would_give_up(self):
        self.assertEqual(usable(1000, integrated=False), 1000)
        self.assertGreater(usable(1000, integrated=True), 1000)


def has_gpu():
    try:
        describe()
    except RequestError:
        return False
    return True


@unittest.skipIf(has_gpu(), "there is a GPU")
class Service(unittest.TestCase):
    def test_a_machine_without_a_gpu_says_so_and_goes_on(self):
        with Worker() as worker:
            for number in (1, 2):
                error, done = worker.call(id=number, op="device")
                self.assertEqual((error["code"], error["id"], done["ok"]), ("no_gpu", number, False))


if __name__ == "__main__":
    unittest.main()
