//! What a worker can be asked in one question, each with the time it has for the answer.

use std::time::Duration;

use super::error::WorkerError;
use super::link::Link;
use super::protocol::{GpuReport, Message, Op, Preparation, Probe};
use crate::host::HostPath;

/// Reading a file and asking an assembler for its version, on a cold disk.
const PROBE_LIMIT: Duration = Duration::from_secs(120);
/// Loading the driver, which may have to wake the GPU first.
const DEVICE_LIMIT: Duration = Duration::from_secs(120);
/// Importing torch from a cold disk and filling the weights of a layer, some tens of gigabytes at most.
const PREPARE_LIMIT: Duration = Duration::from_secs(900);

impl Link {
    /// Find the kernel below `sglang_root` and the compiler's parts.
    pub async fn probe(&mut self, sglang_root: &HostPath) -> Result<Probe, WorkerError> {
        let mut found = None;
        let request = Op::Probe { sglang_root: sglang_root.as_str().to_owned() };
        self.request(request, PROBE_LIMIT, |message| {
            if let Message::Probed { probe, .. } = message {
                found = Some(probe);
            }
        })
        .await?;
        found.ok_or_else(|| WorkerError::Garbled { line: "`done` without a `probed`".into() })
    }

    /// What GPU the worker sees.
    pub async fn device(&mut self) -> Result<GpuReport, WorkerError> {
        let mut found = None;
        self.request(Op::Device {}, DEVICE_LIMIT, |message| {
            if let Message::Device { report, .. } = message {
                found = Some(report);
            }
        })
        .await?;
        found.ok_or_else(|| WorkerError::Garbled { line: "`done` without a `device`".into() })
    }

    /// Put a layer's weights on the GPU.
    pub async fn prepare(&mut self, preparation: Preparation) -> Result<(), WorkerError> {
        self.request(Op::Prepare(preparation), PREPARE_LIMIT, |_| {}).await
    }

    async fn request(
        &mut self,
        op: Op,
        limit: Duration,
        mut on_message: impl FnMut(Message),
    ) -> Result<(), WorkerError> {
        let id = self.ask(op).await?;
        while let Some(message) = self.answer(id, limit).await? {
            on_message(message);
        }
        Ok(())
    }
}
