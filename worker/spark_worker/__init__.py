"""The half of sparktune that runs beside Triton: compiles SGLang's fused-MoE kernels, and times them.

One JSON object a line on stdin and stdout, log on stderr. `service` is the loop,
and from there the calls go downwards:

    service -> batch -> compiler -> {launch, specialise, kernel_source, toolchain}
            -> children -> guardian
    service -> travel -> batch
    service -> gpu_process -> bench -> measurement -> prepared -> {launcher, inputs, routing, alignment, reference}
            -> cuda_stage -> gpu
"""

PROTOCOL = 3
