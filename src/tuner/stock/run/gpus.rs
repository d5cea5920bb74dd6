//! Nodes whose GPU others use: each is waited for by itself, while the others work.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Letter, News, StockNode, Tuning};
use crate::events::{Left, NodeEvent, Observer};
use crate::host_name::HostName;
use crate::tuner::session::LOOK_AGAIN;
use crate::tuner::stock::gpu_use::{GpuUse, GpuUsers};

/// Of a GPU that is waited for.
pub(super) enum GpuNews {
    Free,
    /// By others than before.
    InUse(GpuUsers),
    /// It was waited for long enough.
    GivenUp(GpuUsers),
}

impl Tuning<'_> {
    /// Let every node whose GPU others use be looked at until it is free, and no longer than for `wait`.
    pub(super) fn await_gpus(&mut self, wait: Duration, observer: &mut dyn Observer) {
        for node in self.nodes.values() {
            let Some(users) = node.in_use.clone() else { continue };
            self.awaited += 1;
            observer.note(waiting_for(&node.name, &users));
            tokio::spawn(await_gpu(node.clone(), users, wait, self.voice.clone(), self.stop.clone()));
        }
    }

    pub(super) fn gpu(&mut self, from: HostName, news: GpuNews, observer: &mut dyn Observer) {
        match news {
            GpuNews::InUse(users) => observer.note(waiting_for(&from, &users)),
            GpuNews::Free => {
                self.awaited -= 1;
                self.queue.join(from);
            }
            GpuNews::GivenUp(users) => {
                self.awaited -= 1;
                self.nodes.remove(&from);
                observer.say_from(&from, NodeEvent::Left { how: Left::Unfit { why: users.to_string() } });
            }
        }
    }
}

fn waiting_for(name: &HostName, users: &GpuUsers) -> String {
    format!("waiting for {name} to be free: {users}")
}

/// Look at the GPU of `node`, which `users` use, until it is free, was waited for long enough, or the run ends.
async fn await_gpu(
    node: StockNode,
    mut users: GpuUsers,
    wait: Duration,
    voice: UnboundedSender<Letter>,
    stop: CancellationToken,
) {
    let until = Instant::now() + wait;
    let say = |news| {
        // The run outlives those who wait; where it does not, nobody listens.
        let _ = voice.send(Letter { from: node.name.clone(), news: News::Gpu(news) });
    };
    loop {
        let again = until.min(Instant::now() + LOOK_AGAIN);
        let looked = async {
            sleep_until(again).await;
            GpuUse::on(&*node.host, &node.python).await
        };
        match stop.run_until_cancelled(looked).await {
            None => return,
            Some(GpuUse::Free) => return say(GpuNews::Free),
            Some(GpuUse::Used(now)) if again >= until => return say(GpuNews::GivenUp(now)),
            // Who was there last is there still, as far as anybody knows.
            Some(GpuUse::Unknown) if again >= until => return say(GpuNews::GivenUp(users)),
            Some(GpuUse::Used(now)) if now != users => {
                users = now.clone();
                say(GpuNews::InUse(now));
            }
            Some(GpuUse::Used(_) | GpuUse::Unknown) => {}
        }
    }
}
