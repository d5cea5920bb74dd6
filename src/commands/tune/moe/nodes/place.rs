//! Where a node's compiler is: in a container of an image, or, on a node without an engine, in its own Python.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cluster::connect::{self, Connected};
use crate::cluster::inventory::Inventory;
use crate::host::engine::ImageName;
use crate::host::{Host, ShellLine};
use crate::host_name::HostName;
use crate::runtime::Target;
use crate::tuner::plan::PlannedImage;
use crate::worker::NoCompiler;
use crate::worker::bare::{BareEnvironment, BareNode, ReachedBareNode};
use crate::worker::environment::Environment;
use crate::worker::image::{ImageEnvironment, ImageOnNode, Order, ReachedImage, TuningContainer};

/// A node, before it was spoken to.
#[derive(Debug)]
pub(super) enum Place {
    Image(Box<ImageOnNode>),
    Own(Box<BareNode>),
}

/// The same, connected to.
#[derive(Debug)]
pub(super) enum ReachedPlace {
    Image(Box<ReachedImage>),
    Own(Box<ReachedBareNode>),
}

/// A compiler, and what is held for it.
#[derive(Debug)]
pub(super) struct OpenPlace {
    pub(super) environment: Environment,
    pub(super) target: Target,
    /// The image, where there is one.
    pub(super) image: Option<PlannedImage>,
    pub(super) held: Held,
}

/// What has to last as long as the compiler.
#[derive(Debug)]
pub(super) enum Held {
    Container(Box<TuningContainer>),
    Way {
        // Nobody asks for it again, and the worker's programs end with it.
        _node: Box<Connected>,
    },
}

impl Place {
    /// All nodes of `inventory`, in its order; containers are of `image`, or else of what the inventory says.
    pub(super) fn all_of(inventory: &Inventory, image: Option<&str>) -> Result<Vec<Self>, NoCompiler> {
        let named = image.map(str::parse::<ImageName>).transpose()?;
        // One for all: a node may be reached through another's connection.
        let ssh = connect::ssh(inventory);
        let places = inventory.nodes.iter().map(|node| match node.settings.engine() {
            Some(_) => ImageOnNode::of_node(&inventory.name, node, named.as_ref(), &ssh).map(Self::of_image),
            None => Ok(Self::Own(Box::new(BareNode::new(node, &ssh)))),
        });
        places.collect()
    }

    /// The one node that has `image`.
    pub(super) fn of_image(image: ImageOnNode) -> Self {
        Self::Image(Box::new(image))
    }

    pub(super) fn node(&self) -> &HostName {
        match self {
            Place::Image(image) => image.node(),
            Place::Own(node) => node.node(),
        }
    }

    /// The command that makes the container of `order`, or asks the node's own Python.
    pub(super) fn line(&self, order: &Order<'_>) -> ShellLine {
        match self {
            Place::Image(image) => image.run_line(order),
            Place::Own(node) => node.ask_line(),
        }
    }

    pub(super) async fn reach(self, cancel: &CancellationToken) -> Result<ReachedPlace, NoCompiler> {
        Ok(match self {
            Place::Image(image) => ReachedPlace::Image(Box::new(image.reach(cancel).await?)),
            Place::Own(node) => ReachedPlace::Own(Box::new(node.reach(cancel).await?)),
        })
    }
}

impl ReachedPlace {
    pub(super) fn node(&self) -> &HostName {
        match self {
            ReachedPlace::Image(image) => image.node(),
            ReachedPlace::Own(node) => node.connected().name(),
        }
    }

    /// The node as a host, where it can be logged in to.
    pub(super) fn host(&self) -> Option<&Arc<dyn Host>> {
        match self {
            ReachedPlace::Image(image) => image.host(),
            ReachedPlace::Own(node) => node.connected().host().ok(),
        }
    }

    /// The GPU that the inventory says the node has.
    pub(super) fn expect_gpu(&self) -> Option<&str> {
        match self {
            ReachedPlace::Image(image) => image.expect_gpu(),
            ReachedPlace::Own(node) => node.connected().node.settings.expect_gpu(),
        }
    }

    /// Bring up the container of `order`, or take the node's own Python.
    pub(super) async fn open(
        self,
        order: &Order<'_>,
        cancel: &CancellationToken,
    ) -> Result<OpenPlace, NoCompiler> {
        match self {
            ReachedPlace::Image(image) => {
                let name = image.image().to_string();
                let ImageEnvironment { environment, target, id, container } =
                    image.open(order, cancel).await?;
                let image = Some(PlannedImage { name, id });
                Ok(OpenPlace { environment, target, image, held: Held::Container(Box::new(container)) })
            }
            ReachedPlace::Own(node) => {
                let BareEnvironment { environment, target, way } = node.open(order.family, cancel).await?;
                Ok(OpenPlace { environment, target, image: None, held: Held::Way { _node: Box::new(way) } })
            }
        }
    }
}
