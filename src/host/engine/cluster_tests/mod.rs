//! What only real engines can say: `tests/cluster/up` brings them up.

mod bed;
mod gpus;
mod hosts;
mod links;
mod operations;

/// A test for Docker and one for Podman of each check.
macro_rules! both_engines_pass {
    ($($check:ident,)+) => {
        mod docker {
            $(
                #[tokio::test]
                #[ignore = "needs the test cluster: tests/cluster/up"]
                async fn $check() {
                    super::$check::<$crate::host::engine::cluster_tests::bed::Docker>().await;
                }
            )+
        }

        mod podman {
            $(
                #[tokio::test]
                #[ignore = "needs the test cluster: tests/cluster/up"]
                async fn $check() {
                    super::$check::<$crate::host::engine::cluster_tests::bed::Podman>().await;
                }
            )+
        }
    };
}
use both_engines_pass;
