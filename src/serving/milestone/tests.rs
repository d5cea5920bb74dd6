use super::*;

fn read(engine: ServingEngine, line: &str) -> Option<(Milestone, Option<f64>)> {
    milestone(engine, line).map(|Reading { milestone, fraction }| (milestone, fraction))
}

/// A healthy start's log, as its milestones in their order, each once.
fn course(engine: ServingEngine, log: &str) -> Vec<Milestone> {
    let mut course: Vec<Milestone> =
        log.lines().filter_map(|line| Some(milestone(engine, line)?.milestone)).collect();
    course.dedup();
    course
}

#[test]
fn every_release_of_sglang_is_understood() {
    use Milestone::*;
    let lines = [
        // 0.5.4.post2: model_runner.py, weight_utils.py, memory_pool.py, cuda_graph_runner.py, http_server.py.
        ("[2025-11-05 10:00:07 TP0] Init torch distributed begin.", Distributed, None),
        ("[2025-11-05 10:00:09 TP0] Init torch distributed ends. mem usage=0.32 GB", Distributed, Some(1.0)),
        ("[2025-11-05 10:00:10 TP0] Load weight begin. avail mem=115.61 GB", Weights, None),
        (
            "Loading safetensors checkpoint shards:  12% Completed | 1/8 [00:01<00:09,  1.33s/it]",
            Weights,
            Some(0.12),
        ),
        ("Loading safetensors checkpoint shards:   0% Completed | 0/93 [00:00<?, ?it/s]", Weights, Some(0.0)),
        ("Multi-thread loading shards: 100% Completed | 8/8 [00:11<00:00,  1.41s/it]", Weights, Some(1.0)),
        (
            "[2025-11-05 10:05:01 TP0] Load weight end. type=Glm4MoeForCausalLM, dtype=torch.bfloat16, \
             avail mem=27.97 GB, mem usage=87.64 GB.",
            Weights,
            Some(1.0),
        ),
        (
            "[2025-11-05 10:05:02 TP0] KV Cache is allocated. #tokens: 182244, K size: 7.99 GB, V size: 7.99 GB",
            Cache,
            None,
        ),
        ("[2025-11-05 10:05:02 TP0] Memory pool end. avail mem=11.80 GB", Cache, Some(1.0)),
        (
            "[2025-11-05 10:05:03 TP0] Capture cuda graph begin. This can take up to several minutes. avail mem=11.70 GB",
            Graphs,
            None,
        ),
        (
            "Capturing batches (bs=4 avail_mem=11.70 GB):  30%|███       | 7/23 [00:04<00:09,  1.68it/s]",
            Graphs,
            Some(0.3),
        ),
        (
            "[2025-11-05 10:05:20 TP0] Capture draft extend cuda graph end. Time elapsed: 3.02 s. mem usage=0.21 GB. \
             avail mem=11.20 GB.",
            Graphs,
            Some(1.0),
        ),
        ("INFO:     Uvicorn running on http://0.0.0.0:30000 (Press CTRL+C to quit)", Listening, None),
        ("[2025-11-05 10:05:30] The server is fired up and ready to roll!", Ready, None),
        // 0.5.16: bootstrap.py, cuda_graph_setup.py.
        (
            "[2026-05-01 09:00:00 TP1] Init torch distributed ends. elapsed=1.52 s, mem usage=0.30 GB",
            Distributed,
            Some(1.0),
        ),
        (
            "[2026-05-01 09:03:00 TP1] Capture target decode CUDA graph begin. backend=full, num_tokens_per_req=1, \
             avail mem=12.01 GB",
            Graphs,
            None,
        ),
        (
            "[2026-05-01 09:02:58 TP1] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 99, KV size: 9.10 GB",
            Cache,
            None,
        ),
        // 0.5.21 to 0.5.23: bootstrap.py, memory_pool.py.
        ("[2026-11-01 09:00:00 TP0] Init parallel begin.", Distributed, None),
        ("[2026-11-01 09:00:02 TP0] Init parallel ends. elapsed=1.92 s", Distributed, Some(1.0)),
        (
            "[2026-11-01 09:02:58 TP0] KV Cache VA upper bound. dtype: torch.bfloat16, #tokens: 99, KV size: 9.10 GB",
            Cache,
            None,
        ),
        (
            "Loading safetensors using InstantTensor:  45%|████▌     | 37/82 [00:10<00:12,  3.61it/s]",
            Weights,
            Some(0.45),
        ),
    ];
    for (line, milestone, fraction) in lines {
        assert_eq!(read(ServingEngine::Sglang, line), Some((milestone, fraction)), "{line}");
    }
}

#[test]
fn every_release_of_vllm_is_understood() {
    use Milestone::*;
    let lines = [
        // 0.10.0: parallel_state.py, gpu_model_runner.py, gpu_worker.py, kv_cache_utils.py, api_server.py.
        (
            "INFO 07-30 06:51:17 [parallel_state.py:1102] rank 0 in world size 2 is assigned as DP rank 0, PP rank 0, \
             TP rank 0, EP rank 0",
            Distributed,
            Some(1.0),
        ),
        (
            "(VllmWorker rank=0 pid=91) INFO 07-30 06:51:20 [gpu_model_runner.py:1843] Starting to load model \
             openai/gpt-oss-120b...",
            Weights,
            None,
        ),
        (
            "INFO 07-30 06:54:20 [default_loader.py:262] Loading weights took 170.12 seconds",
            Weights,
            Some(1.0),
        ),
        (
            "INFO 07-30 06:54:21 [gpu_model_runner.py:1892] Model loading took 33.1121 GiB and 171.332111 seconds",
            Weights,
            Some(1.0),
        ),
        ("INFO 07-30 06:54:40 [gpu_worker.py:255] Available KV cache memory: 61.55 GiB", Cache, None),
        ("INFO 07-30 06:54:41 [kv_cache_utils.py:833] GPU KV cache size: 1,792,608 tokens", Cache, Some(1.0)),
        ("Capturing CUDA graph shapes:  45%|████▍     | 30/67 [00:02<00:02, 14.50it/s]", Graphs, Some(0.45)),
        (
            "INFO 07-30 06:54:50 [gpu_model_runner.py:2485] Graph capturing finished in 6 secs, took 0.62 GiB",
            Graphs,
            Some(1.0),
        ),
        (
            "INFO 07-30 06:54:52 [api_server.py:1818] Starting vLLM API server 0 on http://0.0.0.0:8000",
            Listening,
            None,
        ),
        ("INFO:     Application startup complete.", Ready, None),
        // 0.20.2 and 0.33.0: parallel_state.py, gpu_model_runner.py, kv_cache_utils.py, entry.py.
        (
            "(EngineCore pid=99) INFO 04-20 19:27:52 [parallel_state.py:1400] world_size=2 rank=0 local_rank=0 \
             distributed_init_method=tcp://192.168.0.117:29501 backend=nccl",
            Distributed,
            None,
        ),
        (
            "(EngineCore pid=99) INFO 04-20 19:28:52 [gpu_model_runner.py:4880] Model loading took 33.11 GiB memory and \
             60.000000 seconds",
            Weights,
            Some(1.0),
        ),
        (
            "(Worker_TP0 pid=101) \rCapturing CUDA graphs (mixed prefill-decode, PIECEWISE):   6%|▌         | 4/67",
            Graphs,
            Some(0.06),
        ),
        (
            "Capturing eagle decode CUDA graphs: 100%|██████████| 7/7 [00:01<00:00,  6.9it/s]",
            Graphs,
            Some(1.0),
        ),
        (
            "(EngineCore pid=99) INFO 04-20 19:29:00 [kv_cache_utils.py:1148] GPU KV cache size: 219,264 tokens, \
             Maximum concurrency for 32,768 tokens per request: 6.69x",
            Cache,
            Some(1.0),
        ),
        (
            "(APIServer pid=1) INFO 04-20 19:29:10 [entry.py:139] Starting vLLM server on http://0.0.0.0:8011",
            Listening,
            None,
        ),
    ];
    for (line, milestone, fraction) in lines {
        assert_eq!(read(ServingEngine::Vllm, line), Some((milestone, fraction)), "{line}");
    }
}

#[test]
fn of_a_bars_states_in_one_line_the_last_counts() {
    let states = "\rCapturing batches (bs=8 avail_mem=9.10 GB):   0%|          | 0/4 [00:00<?, ?it/s]\
                  \rCapturing batches (bs=4 avail_mem=9.02 GB):  25%|██▌       | 1/4 [00:01<00:03]\
                  \rCapturing batches (bs=2 avail_mem=9.01 GB):  50%|█████     | 2/4 [00:02<00:02]\r";
    assert_eq!(read(ServingEngine::Sglang, states), Some((Milestone::Graphs, Some(0.5))));
}

#[test]
fn a_bar_without_a_length_or_with_nonsense_has_no_fraction() {
    for tail in [
        "3it [00:01,  2.9it/s]",
        " 250% Completed | 5/2",
        " -3% Completed",
        " NaN% Completed",
        " x% Completed",
    ] {
        let line = format!("Loading safetensors checkpoint shards: {tail}");
        assert_eq!(read(ServingEngine::Sglang, &line), Some((Milestone::Weights, None)), "{line}");
    }
}

#[test]
fn other_lines_tell_nothing() {
    for line in [
        "",
        "\r\r",
        "[2025-11-05 10:05:40 TP0] Decode batch, #running-req: 1, #token: 182, gen throughput (token/s): 16.77",
        "INFO:     127.0.0.1:51234 - \"GET /health HTTP/1.1\" 200 OK",
        "[2025-11-05 10:05:03 TP0] Capture cuda graph bs [1, 2, 4, 8]",
        "INFO:     Waiting for application startup.",
    ] {
        assert_eq!(read(ServingEngine::Sglang, line), None, "{line}");
        assert_eq!(read(ServingEngine::Vllm, line), None, "{line}");
    }
    // Each engine's own words.
    assert_eq!(read(ServingEngine::Vllm, "The server is fired up and ready to roll!"), None);
    assert_eq!(read(ServingEngine::Sglang, "Model loading took 33.1121 GiB and 171.3 seconds"), None);
}

#[test]
fn a_healthy_start_goes_through_all_in_order() {
    use Milestone::*;
    let sglang = include_str!("../../../tests/fixtures/serving/healthy/sglang.txt");
    assert_eq!(
        course(ServingEngine::Sglang, sglang),
        [Distributed, Weights, Cache, Graphs, Listening, Ready]
    );
    let vllm = include_str!("../../../tests/fixtures/serving/healthy/vllm.txt");
    assert_eq!(course(ServingEngine::Vllm, vllm), [Distributed, Weights, Cache, Graphs, Listening, Ready]);
    assert!(
        Distributed < Weights && Weights < Cache && Cache < Graphs && Graphs < Listening && Listening < Ready
    );
}
