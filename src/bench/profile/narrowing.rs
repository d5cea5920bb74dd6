//! Several things were said, each of which goes with some kinds only: which kinds go with all of them?

/// Something that was said, and the kinds it goes with.
pub(super) struct Demand<K: 'static> {
    /// As the user would name it: a flag, or a profile's field.
    pub name: &'static str,
    /// The kinds it goes with.
    pub kinds: &'static [K],
}

/// Two demands no kind meets both of, by their places.
pub(super) struct Contradiction {
    /// The earlier one.
    pub first: &'static str,
    /// The later one.
    pub second: &'static str,
}

/// The kinds of `all` that meet every demand.
pub(super) fn narrowed<K: Copy + PartialEq>(
    all: &[K],
    demands: &[Demand<K>],
) -> Result<Vec<K>, Contradiction> {
    for (at, second) in demands.iter().enumerate() {
        for first in &demands[..at] {
            if !first.kinds.iter().any(|kind| second.kinds.contains(kind)) {
                return Err(Contradiction { first: first.name, second: second.name });
            }
        }
    }
    let meets = |kind: &&K| demands.iter().all(|demand| demand.kinds.contains(kind));
    Ok(all.iter().filter(meets).copied().collect())
}

/// `random, shared-prefix or multi-turn`
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
