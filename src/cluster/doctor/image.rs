//! The image of a node's containers: there, for this machine, and the same everywhere.

use super::Judgement;
use super::seen::{Examined, ImageSeen, Seen, usual};
use crate::cluster::images::{runs, same};
use crate::host::engine::Image;

pub(super) fn image(examined: &Examined) -> Vec<Option<Judgement>> {
    let nodes = &examined.nodes;
    let judge = |(at, seen): (usize, &Seen)| {
        let name = seen.node.settings.image()?;
        let engine = seen.engine_seen()?;
        let program = engine.facts.engine.program();
        let image = match &engine.image {
            ImageSeen::There(image) => image,
            ImageSeen::Missing => {
                let judgement = Judgement::failed(format!("{name} is not there"));
                return Some(judgement.fix(format!("{program} pull {name}")));
            }
            ImageSeen::Unknown(trouble) => {
                let judgement = Judgement::unknown(&trouble.says);
                return Some(Judgement { fix: trouble.fix.clone(), ..judgement });
            }
        };
        let machine = &engine.facts.architecture;
        if !runs(&image.architecture, machine) {
            let says = format!("{name} was built for {}, and the node is {machine}", image.architecture);
            return Some(Judgement::failed(says).fix(format!("{program} pull {name}")));
        }
        // Among the nodes that are to have it.
        let there: Vec<Option<&Image>> = nodes.iter().map(|other| there(other, name)).collect();
        let most = usual(nodes, &there, |one, other| same(one, other).is_some())?;
        let usual = there[most]?;
        if most == at || same(image, usual).is_some() {
            return Some(Judgement::ok(format!("{name}, {}", short(image))));
        }
        let of = &nodes[most].node.name;
        let says = format!("{name} is {}, and {} on {of}", short(image), short(usual));
        let from = nodes[most].node.settings.engine().map_or(program, |kind| kind.program());
        let own = &seen.node.name;
        let fix =
            format!("{from} save {name} on {of}, {program} load on {own}; or {program} pull {name} on both");
        Some(Judgement::failed(says).fix(fix))
    };
    nodes.iter().enumerate().map(judge).collect()
}

/// The image `name` on `seen`, if that node is to have it and does.
fn there<'a>(seen: &'a Seen, name: &str) -> Option<&'a Image> {
    seen.node.settings.image().filter(|other| *other == name)?;
    match &seen.engine_seen()?.image {
        ImageSeen::There(image) => Some(image),
        ImageSeen::Missing | ImageSeen::Unknown(_) => None,
    }
}

/// An ID as `docker images` shows it.
fn short(image: &Image) -> &str {
    let id = image.id.split_once(':').map_or(image.id.as_str(), |(_, digits)| digits);
    id.get(..12).unwrap_or(id)
}
