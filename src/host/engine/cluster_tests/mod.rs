//! What engines must say. `tests/cluster/up` brings up the real ones; their look-alike, which needs nobody's leave, says
//! the same as far as it can, so that a check which only the real ones pass stands out.

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

/// A test of each check for the look-alike.
macro_rules! the_look_alike_passes {
    ($($check:ident,)+) => {
        mod look_alike {
            $(
                #[tokio::test]
                async fn $check() {
                    super::$check::<$crate::host::engine::cluster_tests::bed::LookAlike>().await;
                }
            )+
        }
    };
}
use the_look_alike_passes;
