"""The GPU as its driver and NVML describe it, through ctypes: asking torch would cost seconds.

Whatever NVML cannot tell is None: GB10 has no memory of its own to report, a container may
lack the library, and a clock or a power meter may not be readable by everyone.
"""

import ctypes
import os
from contextlib import contextmanager

from spark_worker.protocol import RequestError

# CUdevice_attribute
_MULTIPROCESSORS = 16
_INTEGRATED = 18
_L2_BYTES = 38
_MAJOR = 75
_MINOR = 76
_SHARED_MEMORY_OPTIN = 97

# nvmlClockType_t and nvmlTemperatureSensors_t
_SM_CLOCK = 1
_DIE = 0

# nvmlClocksEventReasons, lowest bit first.
_THROTTLE_REASONS = (
    "gpu_idle",
    "applications_clocks_setting",
    "sw_power_cap",
    "hw_slowdown",
    "sync_boost",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
    "display_clock_setting",
)
_NOTHING_KNOWN = {"clock_mhz": None, "temperature_c": None, "power_w": None, "throttle": []}
_NAME_LENGTH = 256
_MOST_PROCESSES = 256


def describe(load=ctypes.CDLL):
    """The fields of a `device` event."""
    driver = Driver(load)
    monitor = Monitor(driver.bus_id, load)
    # Before a context of ours exists, which would count as a process of its own.
    others = monitor.other_processes()
    total, free = driver.memory()
    return {
        "name": driver.name,
        "capability": 10 * driver.attribute(_MAJOR) + driver.attribute(_MINOR),
        "shared_memory_per_block": driver.attribute(_SHARED_MEMORY_OPTIN),
        "multiprocessors": driver.attribute(_MULTIPROCESSORS),
        "l2_bytes": driver.attribute(_L2_BYTES),
        "memory_total": total,
        "memory_free": free,
        "driver": monitor.driver_version(),
        "max_clock_mhz": monitor.max_clock_mhz(),
        **monitor.conditions(),
        "other_processes": others,
    }


class Driver:
    """The first GPU that CUDA shows, without a context wherever none is needed."""

    def __init__(self, load=ctypes.CDLL):
        try:
            self._library = load("libcuda.so.1")
        except OSError as error:
            raise RequestError("no_gpu", f"no CUDA driver here: {error}") from error
        self._call("cuInit", 0)
        count = ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        if count.value == 0:
            raise RequestError("no_gpu", "the CUDA driver shows no GPU")
        self._device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(self._device), 0)

    @property
    def name(self):
        return self._text("cuDeviceGetName")

    @property
    def bus_id(self):
        return self._text("cuDeviceGetPCIBusId")

    def attribute(self, number):
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), number, self._device)
        return value.value

    def memory(self):
        """(total, free) bytes. Free needs a context, held for just that question."""
        total, free = ctypes.c_size_t(), ctypes.c_size_t()
        with self._context():
            self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return total.value, usable(free.value, bool(self.attribute(_INTEGRATED)))

    @contextmanager
    def _context(self):
        context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
        try:
            self._call("cuCtxPushCurrent_v2", context)
            yield
            self._call("cuCtxPopCurrent_v2", ctypes.byref(context))
        finally:
            self._call("cuDevicePrimaryCtxRelease_v2", self._device)

    def _text(self, function):
        buffer = ctypes.create_string_buffer(_NAME_LENGTH)
        self._call(function, buffer, _NAME_LENGTH, self._device)
        return buffer.value.decode()

    def _call(self, function, *arguments):
        status = getattr(self._library, function)(*arguments)
        if status != 0:
            raise RequestError("no_gpu", f"{function} says {self._explain(status)}")

    def _explain(self, status):
        name = ctypes.c_char_p()
        known = self._library.cuGetErrorName(status, ctypes.byref(name)) == 0 and name.value
        return name.value.decode() if known else f"error {status}"


class Monitor:
    """What NVML says about the GPU at `bus_id`."""

    def __init__(self, bus_id, load=ctypes.CDLL):
        self._handle = ctypes.c_void_p()
        try:
            self._library = load("libnvidia-ml.so.1")
        except OSError:
            self._library = None
            return
        found = self._call("nvmlInit_v2") and self._call(
            "nvmlDeviceGetHandleByPciBusId_v2", bus_id.encode(), ctypes.byref(self._handle)
        )
        if not found:
            self._library = None

    def conditions(self):
        """What a time depends on besides the kernel, as it is now."""
        if self._library is None:
            return dict(_NOTHING_KNOWN)
        milliwatts = self._ask("nvmlDeviceGetPowerUsage", ctypes.c_uint())
        return {
            "clock_mhz": self._ask("nvmlDeviceGetClockInfo", ctypes.c_uint(), _SM_CLOCK),
            "temperature_c": self._ask("nvmlDeviceGetTemperature", ctypes.c_uint(), _DIE),
            "power_w": None if milliwatts is None else milliwatts / 1000,
            "throttle": self._throttle(),
        }

    def max_clock_mhz(self):
        return self._ask("nvmlDeviceGetMaxClockInfo", ctypes.c_uint(), _SM_CLOCK)

    def driver_version(self):
        buffer = ctypes.create_string_buffer(_NAME_LENGTH)
        return buffer.value.decode() if self._call("nvmlSystemGetDriverVersion", buffer, _NAME_LENGTH) else None

    def other_processes(self):
        """Compute processes that are not this one: on a shared GPU no time means anything."""
        count = ctypes.c_uint(_MOST_PROCESSES)
        entries = (_Process * _MOST_PROCESSES)()
        known = self._call("nvmlDeviceGetComputeRunningProcesses_v3", self._handle, ctypes.byref(count), entries)
        return [entry.pid for entry in entries[: count.value] if entry.pid != os.getpid()] if known else []

    def _throttle(self):
        mask = self._ask("nvmlDeviceGetCurrentClocksEventReasons", ctypes.c_ulonglong())
        if mask is None:
            # Its name before driver 535.
            mask = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong()) or 0
        return [reason for bit, reason in enumerate(_THROTTLE_REASONS) if mask >> bit & 1]

    def _ask(self, function, answer, *selectors):
        return answer.value if self._call(function, self._handle, *selectors, ctypes.byref(answer)) else None

    def _call(self, function, *arguments):
        """Whether NVML could do it; an older library lacks the function altogether."""
        try:
            return self._library is not None and getattr(self._library, function)(*arguments) == 0
        except AttributeError:
            return False


class _Process(ctypes.Structure):
    """nvmlProcessInfo_t"""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_memory", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


def usable(free, integrated):
    """Bytes that can be had. Where CPU and GPU share their memory, CUDA counts as taken what the
    page cache holds, although the kernel gives it up on demand: there Linux knows better."""
    return max(free, _available()) if integrated else free


def _available():
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
