"""Keep a node's first GPU busy for a few seconds and say how it did, as one JSON document on stdout.

Input: one JSON document {"seconds": NUMBER}.
Output: {"trouble": TEXT or null, "name": TEXT or null, "spin_ms": [...], "gemv_ms": [...], "gemv_bytes": NUMBER,
"samples": [LINE, ...]}.
Two kernels run one after another, and `_ms` are the times of their launches: `spin` only multiplies and adds, as fast
as the clock lets it, for so many seconds; `gemv` multiplies a matrix that no cache holds with a vector, as decoding
does, and reads `gemv_bytes`. Its result is checked. `samples` are nvidia-smi's words while `spin` ran, its first second left
out: SM clock MHz, temperature, power W, reasons that slow the clock down, as a mask of nvml.h.
All of it through the driver's own library: no runtime and no torch is needed, and the driver compiles the kernels. What
the GPU has in memory stays as it is; whoever works there meanwhile is slowed down. Standard library only, Linux, Python
3.8 or newer.
"""

import ctypes
import json
import subprocess
import sys
import threading
import time

SAMPLE = "clocks.sm,temperature.gpu,power.draw,clocks_event_reasons.active"
SAMPLER = ("nvidia-smi", "--id=0", "--query-gpu=" + SAMPLE, "--format=csv,noheader,nounits", "--loop-ms=200")
# Seconds that nvidia-smi may take to say its first word, and until a clock has gone up.
FIRST_WORD_S = 5.0
UP_S = 1.0
# Launches of `gemv`, and seconds for them.
GEMVS = 200
GEMV_S = 2.0
THREADS = 256
# Blocks a multiprocessor, and turns of 8 operations: about 20 ms at 2,400 MHz, whatever the GPU's size.
BLOCKS = 8
TURNS = 300000
# Of the matrix: 256 MiB, ten times a GB10's cache. A warp has a row, and its lanes take 4 numbers each.
ROWS = 8192
COLUMNS = 8192
# 2^-7 and 1.0, so that every sum is exact: 8192 / 128.
MATRIX_BITS, VECTOR_BITS, RESULT = 0x3C000000, 0x3F800000, 64.0
SM_COUNT = 16

PTX = b"""
.version 6.3
.target sm_70
.address_size 64

.visible .entry spin(.param .u64 out, .param .u32 turns)
{
    .reg .pred %p<3>;
    .reg .b32 %r<3>;
    .reg .f32 %f<11>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [turns];
    mov.u32 %r2, %tid.x;
    cvt.rn.f32.u32 %f1, %r2;
    add.f32 %f2, %f1, 0f3F800000;
    add.f32 %f3, %f2, 0f3F800000;
    add.f32 %f4, %f3, 0f3F800000;
    add.f32 %f5, %f4, 0f3F800000;
    add.f32 %f6, %f5, 0f3F800000;
    add.f32 %f7, %f6, 0f3F800000;
    add.f32 %f8, %f7, 0f3F800000;
    mov.f32 %f9, 0f3F7FFFEF;
    mov.f32 %f10, 0f358637BD;
TURN:
    fma.rn.f32 %f1, %f1, %f9, %f10;
    fma.rn.f32 %f2, %f2, %f9, %f10;
    fma.rn.f32 %f3, %f3, %f9, %f10;
    fma.rn.f32 %f4, %f4, %f9, %f10;
    fma.rn.f32 %f5, %f5, %f9, %f10;
    fma.rn.f32 %f6, %f6, %f9, %f10;
    fma.rn.f32 %f7, %f7, %f9, %f10;
    fma.rn.f32 %f8, %f8, %f9, %f10;
    sub.u32 %r1, %r1, 1;
    setp.ne.u32 %p1, %r1, 0;
    @%p1 bra TURN;
    add.f32 %f1, %f1, %f2;
    add.f32 %f3, %f3, %f4;
    add.f32 %f5, %f5, %f6;
    add.f32 %f7, %f7, %f8;
    add.f32 %f1, %f1, %f3;
    add.f32 %f5, %f5, %f7;
    add.f32 %f1, %f1, %f5;
    setp.lt.f32 %p2, %f1, 0f00000000;
    @%p2 st.global.f32 [%rd1], %f1;
    ret;
}

.visible .entry gemv(.param .u64 matrix, .param .u64 vector, .param .u64 out, .param .u32 columns)
{
    .reg .pred %p<3>;
    .reg .b32 %r<12>;
    .reg .f32 %f<12>;
    .reg .b64 %rd<10>;
    ld.param.u64 %rd1, [matrix];
    ld.param.u64 %rd2, [vector];
    ld.param.u64 %rd3, [out];
    ld.param.u32 %r1, [columns];
    mov.u32 %r2, %tid.x;
    mov.u32 %r3, %ctaid.x;
    mov.u32 %r4, %ntid.x;
    mad.lo.u32 %r5, %r3, %r4, %r2;
    shr.u32 %r5, %r5, 5;
    and.b32 %r6, %r2, 31;
    mul.wide.u32 %rd4, %r5, %r1;
    shl.b64 %rd4, %rd4, 2;
    mul.wide.u32 %rd5, %r6, 16;
    add.u64 %rd1, %rd1, %rd4;
    add.u64 %rd1, %rd1, %rd5;
    add.u64 %rd2, %rd2, %rd5;
    mov.f32 %f1, 0f00000000;
PART:
    ld.global.nc.v4.f32 {%f2, %f3, %f4, %f5}, [%rd1];
    ld.global.nc.v4.f32 {%f6, %f7, %f8, %f9}, [%rd2];
    fma.rn.f32 %f1, %f2, %f6, %f1;
    fma.rn.f32 %f1, %f3, %f7, %f1;
    fma.rn.f32 %f1, %f4, %f8, %f1;
    fma.rn.f32 %f1, %f5, %f9, %f1;
    add.u64 %rd1, %rd1, 512;
    add.u64 %rd2, %rd2, 512;
    sub.u32 %r1, %r1, 128;
    setp.ne.u32 %p1, %r1, 0;
    @%p1 bra PART;
    mov.u32 %r7, 16;
FOLD:
    mov.b32 %r8, %f1;
    shfl.sync.bfly.b32 %r9, %r8, %r7, 31, 0xffffffff;
    mov.b32 %f10, %r9;
    add.f32 %f1, %f1, %f10;
    shr.u32 %r7, %r7, 1;
    setp.ne.u32 %p1, %r7, 0;
    @%p1 bra FOLD;
    setp.eq.u32 %p2, %r6, 0;
    mul.wide.u32 %rd6, %r5, 4;
    add.u64 %rd3, %rd3, %rd6;
    @%p2 st.global.f32 [%rd3], %f1;
    ret;
}
\0"""


class Trouble(Exception):
    """What keeps the GPU from being tried."""


class Driver:
    """The driver's library, with the first GPU's context current."""

    def __init__(self):
        try:
            self.library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise Trouble("no GPU to try: {}".format(error)) from error
        self.alive = []
        self.call("cuInit", 0)
        self.device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(self.device), 0)
        context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self.device)
        self.call("cuCtxSetCurrent", context)
        module = ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(module), PTX)
        self.module = module

    def call(self, name, *arguments):
        """Call `name`; 0 is success in all of the driver's functions."""
        try:
            status = getattr(self.library, name)(*arguments)
        except AttributeError as error:
            raise Trouble("the driver has no {}".format(name)) from error
        if status == 0:
            return
        words = ctypes.c_char_p()
        if self.library.cuGetErrorName(status, ctypes.byref(words)) == 0 and words.value:
            status = "{} ({})".format(words.value.decode("utf-8", "replace"), status)
        raise Trouble("{} says {}".format(name, status))

    def name(self):
        """The GPU's name."""
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, len(name), self.device)
        return name.value.decode("utf-8", "replace")

    def multiprocessors(self):
        """How many it has."""
        count = ctypes.c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(count), SM_COUNT, self.device)
        return count.value

    def memory(self, numbers, bits):
        """Memory of so many numbers of 4 bytes, each with these bits."""
        pointer = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(4 * numbers))
        self.call("cuMemsetD32_v2", pointer, ctypes.c_uint32(bits), ctypes.c_size_t(numbers))
        return pointer

    def first_number(self, pointer):
        """The first number of 4 bytes there."""
        value = ctypes.c_float()
        self.call("cuMemcpyDtoH_v2", ctypes.byref(value), pointer, ctypes.c_size_t(4))
        return value.value

    def kernel(self, name, blocks, *arguments):
        """Something that launches the kernel `name` and gives the milliseconds that it took."""
        function, begin, end = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuModuleGetFunction", ctypes.byref(function), self.module, name)
        for event in (begin, end):
            self.call("cuEventCreate", ctypes.byref(event), 0)
        # Where each lies; kept alive for as long as it may be launched.
        places = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(argument) for argument in arguments))
        self.alive.append(arguments)
        shape = (ctypes.c_uint(blocks), 1, 1, THREADS, 1, 1, 0)
        took = ctypes.c_float()

        def launch():
            self.call("cuEventRecord", begin, None)
            self.call("cuLaunchKernel", function, *shape, None, places, None)
            self.call("cuEventRecord", end, None)
            self.call("cuEventSynchronize", end)
            self.call("cuEventElapsedTime", ctypes.byref(took), begin, end)
            return took.value

        return launch


class Sampler:
    """nvidia-smi, asked five times a second."""

    def __init__(self):
        self.lines = []
        self.first = threading.Event()
        try:
            self.process = subprocess.Popen(
                SAMPLER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            self.process = None
            return
        threading.Thread(target=self.read, daemon=True).start()
        self.first.wait(FIRST_WORD_S)

    def read(self):
        """Keep its lines with the time they came at."""
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.decode("utf-8", "replace").strip()))
            self.first.set()
        self.first.set()

    def end(self):
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def between(self, begin, end):
        """What it said in that time."""
        return [line for at, line in list(self.lines) if begin <= at <= end][:256]


def load(seconds, answer):
    """Run both kernels, and put what came of it into `answer`."""
    driver = Driver()
    answer["name"] = driver.name()
    out = driver.memory(ROWS, 0)
    spin = driver.kernel(b"spin", BLOCKS * driver.multiprocessors(), out, ctypes.c_uint32(TURNS))
    sampler = Sampler()
    try:
        begin = time.monotonic()
        while time.monotonic() < begin + seconds:
            answer["spin_ms"].append(spin())
        answer["samples"] = sampler.between(begin + UP_S, time.monotonic())
    finally:
        sampler.end()
    matrix, vector = driver.memory(ROWS * COLUMNS, MATRIX_BITS), driver.memory(COLUMNS, VECTOR_BITS)
    gemv = driver.kernel(b"gemv", ROWS * 32 // THREADS, matrix, vector, out, ctypes.c_uint32(COLUMNS))
    answer["gemv_bytes"] = 4 * ROWS * COLUMNS
    until = time.monotonic() + GEMV_S
    while len(answer["gemv_ms"]) < GEMVS and time.monotonic() < until:
        answer["gemv_ms"].append(gemv())
    result = driver.first_number(out)
    if result != RESULT:
        raise Trouble("the GPU says {} where {} is right".format(result, RESULT))


if __name__ == "__main__":
    seconds = json.load(sys.stdin)["seconds"]
    answer = {"trouble": None, "name": None, "spin_ms": [], "gemv_ms": [], "gemv_bytes": 0, "samples": []}
    try:
        load(seconds, answer)
    except Trouble as trouble:
        answer["trouble"] = str(trouble)
    print(json.dumps(answer))
