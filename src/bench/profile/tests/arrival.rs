use super::*;
use crate::failure::Kind;

/// Flags of arrivals and concurrency alone.
fn pace(arrival: ArrivalLayer, concurrency: Option<Bound<u32>>) -> Layer {
    Layer { arrival, concurrency, ..Layer::default() }
}

fn kind(kind: ArrivalKind) -> ArrivalLayer {
    ArrivalLayer { kind: Some(kind), ..ArrivalLayer::default() }
}

#[test]
fn the_arrival_follows_the_rules() {
    let plain = profile("requests = 9");
    let closed = profile("concurrency = 8\n[arrival]\nkind = \"closed-loop\"");
    let capped = profile("concurrency = 8\n[arrival]\nkind = \"all-at-once\"");
    let constant = profile("[arrival]\nkind = \"constant\"\nrate = 3.0");
    let gamma = profile("[arrival]\nkind = \"gamma\"\nrate = 3\nburstiness = 0.5");
    let ramp = profile("[arrival]\nkind = \"ramp\"\nfrom_rate = 1\nto_rate = 2");
    let burst = ArrivalLayer { burstiness: Some(2.0), ..ArrivalLayer::default() };
    let inf = ArrivalLayer { rate: Some(Rate::Unlimited), ..ArrivalLayer::default() };
    let climb = ArrivalLayer { from_rate: Some(1.0), to_rate: Some(5.0), ..ArrivalLayer::default() };
    let file = ArrivalLayer { file: Some("t.csv".into()), ..ArrivalLayer::default() };
    let none = ArrivalLayer::default;
    let at = |limit| Some(Bound::At(limit));
    let trace = Arrival::Trace { file: named(Path::new("t.csv")).unwrap(), scale: 1.0 };
    let poisson = |rate| Arrival::Poisson { rate };
    for (name, profile, flags, wanted, limit, from) in [
        ("nothing", None, pace(none(), None), Arrival::AllAtOnce, None, "default"),
        ("-c", None, pace(none(), at(4)), Arrival::ClosedLoop, Some(4), "flag --concurrency"),
        (
            "-c on a plain profile",
            Some(&plain),
            pace(none(), at(4)),
            Arrival::ClosedLoop,
            Some(4),
            "flag --concurrency",
        ),
        ("-c none", None, pace(none(), Some(Bound::Without)), Arrival::AllAtOnce, None, "default"),
        ("-c on a loop", Some(&closed), pace(none(), at(4)), Arrival::ClosedLoop, Some(4), "profile mine"),
        (
            "-c on a capped burst",
            Some(&capped),
            pace(none(), at(4)),
            Arrival::AllAtOnce,
            Some(4),
            "profile mine",
        ),
        (
            "-c on a rate",
            Some(&constant),
            pace(none(), at(4)),
            Arrival::Constant { rate: 3.0 },
            Some(4),
            "profile mine",
        ),
        ("--rate", None, pace(rated(2.0), None), poisson(2.0), None, "flag --rate"),
        ("--rate -c", None, pace(rated(2.0), at(4)), poisson(2.0), Some(4), "flag --rate"),
        ("--rate on a loop", Some(&closed), pace(rated(2.0), None), poisson(2.0), Some(8), "flag --rate"),
        (
            "--rate -c none on a loop",
            Some(&closed),
            pace(rated(2.0), Some(Bound::Without)),
            poisson(2.0),
            None,
            "flag --rate",
        ),
        (
            "--rate on a rate",
            Some(&constant),
            pace(rated(2.0), None),
            Arrival::Constant { rate: 2.0 },
            None,
            "profile mine",
        ),
        (
            "--rate on gamma",
            Some(&gamma),
            pace(rated(2.0), None),
            Arrival::Gamma { rate: 2.0, burstiness: 0.5 },
            None,
            "profile mine",
        ),
        ("--rate on a ramp", Some(&ramp), pace(rated(2.0), None), poisson(2.0), None, "flag --rate"),
        (
            "--rate inf on a loop",
            Some(&closed),
            pace(inf.clone(), None),
            Arrival::AllAtOnce,
            Some(8),
            "flag --rate",
        ),
        ("--rate inf -c", None, pace(inf, at(4)), Arrival::AllAtOnce, Some(4), "flag --rate"),
        (
            "--burstiness on a rate",
            Some(&constant),
            pace(burst, None),
            Arrival::Gamma { rate: 3.0, burstiness: 2.0 },
            None,
            "flag --burstiness",
        ),
        (
            "--ramp",
            Some(&closed),
            pace(climb, None),
            Arrival::Ramp { from_rate: 1.0, to_rate: 5.0 },
            Some(8),
            "flag --ramp",
        ),
        ("--trace", Some(&constant), pace(file, None), trace, None, "flag --trace"),
        (
            "--arrival poisson",
            Some(&gamma),
            pace(kind(ArrivalKind::Poisson), None),
            poisson(3.0),
            None,
            "flag --arrival",
        ),
        (
            "--arrival all-at-once",
            Some(&closed),
            pace(kind(ArrivalKind::AllAtOnce), None),
            Arrival::AllAtOnce,
            Some(8),
            "flag --arrival",
        ),
        (
            "--arrival all-at-once -c",
            None,
            pace(kind(ArrivalKind::AllAtOnce), at(4)),
            Arrival::AllAtOnce,
            Some(4),
            "flag --arrival",
        ),
        (
            "--arrival constant --rate",
            None,
            pace(ArrivalLayer { rate: Some(Rate::PerSecond(2.0)), ..kind(ArrivalKind::Constant) }, None),
            Arrival::Constant { rate: 2.0 },
            None,
            "flag --arrival",
        ),
    ] {
        let resolved = with(profile, &flags).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((&resolved.plan.arrival, resolved.plan.concurrency), (&wanted, limit), "{name}");
        assert_eq!(origin(&resolved, "arrival.kind"), from, "{name}");
    }
}

#[test]
fn arrivals_that_contradict_or_lack_something_are_refused() {
    let closed = profile("concurrency = 8\n[arrival]\nkind = \"closed-loop\"");
    let rate = Some(Rate::PerSecond(2.0));
    let ramp = ArrivalLayer { from_rate: Some(1.0), to_rate: Some(5.0), ..ArrivalLayer::default() };
    let file = ArrivalLayer { file: Some("t.csv".into()), ..ArrivalLayer::default() };
    for (profile, flags, words) in [
        (None, pace(ArrivalLayer { rate, ..ramp.clone() }, None), vec!["--ramp", "--rate"]),
        (None, pace(ArrivalLayer { rate, ..file.clone() }, None), vec!["--trace", "--rate"]),
        (None, pace(ArrivalLayer { file: file.file, ..ramp.clone() }, None), vec!["--trace", "--ramp"]),
        (
            None,
            pace(ArrivalLayer { rate, ..kind(ArrivalKind::ClosedLoop) }, None),
            vec!["--arrival closed-loop", "--rate"],
        ),
        (
            None,
            pace(ArrivalLayer { rate: Some(Rate::Unlimited), ..kind(ArrivalKind::Poisson) }, None),
            vec!["--arrival poisson", "--rate inf"],
        ),
        (
            None,
            pace(ArrivalLayer { burstiness: Some(1.0), ..kind(ArrivalKind::Constant) }, None),
            vec!["--arrival constant", "--burstiness"],
        ),
        (None, pace(kind(ArrivalKind::Poisson), None), vec!["poisson arrival needs --rate"]),
        (None, pace(kind(ArrivalKind::Ramp), None), vec!["ramp arrival needs --ramp"]),
        (None, pace(kind(ArrivalKind::Trace), None), vec!["trace arrival needs --trace"]),
        (None, pace(kind(ArrivalKind::ClosedLoop), None), vec!["closed loop", "--concurrency"]),
        (
            None,
            pace(ArrivalLayer { rate, ..kind(ArrivalKind::Gamma) }, None),
            vec!["gamma arrival needs --burstiness"],
        ),
        (
            Some(&closed),
            pace(ArrivalLayer::default(), Some(Bound::Without)),
            vec!["closed loop", "--concurrency"],
        ),
    ] {
        let error = with(profile, &flags).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        for word in words {
            assert!(error.to_string().contains(word), "{word}: {error}");
        }
    }
}
