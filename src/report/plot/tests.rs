use proptest::prelude::*;

use super::*;

/// Every tag that opens closes, and nothing but what a plot may hold is there.
fn check(svg: &Svg) {
    let text = svg.as_str();
    let mut open = Vec::new();
    for part in text.split('<').skip(1) {
        let (tag, after) = part.split_once('>').unwrap_or_else(|| panic!("no end: {part}"));
        assert!(!after.contains('>'), "a loose bracket: {after}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        let known =
            ["svg", "title", "desc", "style", "circle", "line", "polygon", "polyline", "rect", "text"];
        assert!(known.contains(&name), "{name}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty());
    for word in ["NaN", "inf", "#0102", "2147483647", "-2147483648", "url("] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

/// Values as measurements never are.
fn odd() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3f64,
        2 => prop::num::f64::ANY,
        1 => prop::sample::select(vec![0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 1e16, 1e16 + 2.0]),
    ]
}

fn scale() -> impl Strategy<Value = Scale> {
    prop::sample::select(vec![Scale::Linear, Scale::Log2, Scale::Log10])
}

fn axis() -> impl Strategy<Value = Axis> {
    (scale(), prop::option::of((odd(), odd()))).prop_map(|(scale, covers)| Axis {
        label: "<a> & b\u{1}".into(),
        scale,
        covers,
    })
}

fn series() -> impl Strategy<Value = Series> {
    let drawn = prop::sample::select(vec![Drawn::Marked, Drawn::Plain, Drawn::Steps, Drawn::Dots]);
    let point =
        (odd(), odd(), prop::option::of((odd(), odd()))).prop_map(|(x, y, band)| Point { x, y, band });
    // No name may spell one of the words that no plot shows: without an i there is no `inf`.
    ("[<>&\"' a-hj-zµ#;]{0,60}", prop::collection::vec(point, 0..6), drawn)
        .prop_map(|(name, points, drawn)| Series { name, points, drawn })
}

proptest! {
    #[test]
    fn lines_take_anything(
        x in axis(), y in axis(), series in prop::collection::vec(series(), 0..9),
        reference in prop::option::of(odd()), mark in prop::option::of((odd(), odd())),
    ) {
        check(&Lines {
            title: "</svg>".into(), description: "&".into(), x, y, series,
            reference: reference.map(|y| Reference { y, label: "<".into() }),
            mark: mark.map(|(x, y)| Mark { x, y, label: "knee".into() }),
            labels: mark.map(|(x, y)| Mark { x: y, y: x, label: "<8".into() }).into_iter().collect(),
        }.render());
    }

    #[test]
    fn distributions_take_anything(x in axis(), values in prop::collection::vec(odd(), 0..9)) {
        check(&Cdf { x, series: vec![Samples { name: "a".into(), values }], ..Cdf::default() }.render());
    }

    #[test]
    fn shares_take_anything(
        end in odd(), rows in prop::collection::vec(prop::collection::vec(prop::collection::vec(odd(), 0..4), 0..6), 0..5),
    ) {
        let row = |parts| ShareRow { label: "<a>".into(), parts, figure: "&".into() };
        check(&Shares {
            title: "<".into(), axis: "&".into(), end, label_heading: "node".into(),
            kinds: (0..3).map(|colour| Kind { name: "k".into(), colour }).collect(),
            rows: rows.into_iter().map(row).collect(),
            ..Shares::default()
        }.render());
    }

    #[test]
    fn forests_take_anything(
        axis in axis(), reference in odd(),
        rows in prop::collection::vec((prop::option::of(odd()), prop::option::of((odd(), odd()))), 0..6),
    ) {
        let rows = rows.into_iter()
            .map(|(value, interval)| ForestRow { label: "<x>".repeat(30), value, interval }).collect();
        check(&Forest { axis, reference, rows, ..Forest::default() }.render());
    }

    #[test]
    fn heat_maps_take_anything(
        scale in scale(), rows in 0..6usize, columns in 0..40usize, best in prop::bool::ANY,
        each in prop::bool::ANY,
        cells in prop::collection::vec(prop::collection::vec(prop::option::of(odd()), 0..40), 0..7),
    ) {
        let best = if best { Best::Highest } else { Best::Lowest };
        let within = if each { Within::Column } else { Within::Map };
        let rows = (0..rows).map(|n| format!("row <{n}>")).collect();
        let columns = (0..columns).map(|n| format!("{}", 1u64 << n)).collect();
        check(&HeatMap { scale, rows, columns, cells, best, within, ..HeatMap::default() }.render());
    }
}

#[test]
fn nothing_to_show_says_so() {
    let unusable = Series { name: "a".into(), points: vec![Point::new(f64::NAN, 1.0)], ..Series::default() };
    let empty_map = HeatMap { rows: vec!["a".into()], columns: vec!["b".into()], ..HeatMap::default() };
    for svg in [
        Lines::default().render(),
        Lines { series: vec![unusable], ..Lines::default() }.render(),
        Cdf::default().render(),
        Forest::default().render(),
        HeatMap::default().render(),
        empty_map.render(),
        Shares::default().render(),
        Shares { end: 1.0, rows: vec![ShareRow::default()], ..Shares::default() }.render(),
    ] {
        check(&svg);
        assert!(svg.as_str().contains("No data"));
    }
}

#[test]
fn a_log_axis_leaves_out_zero_and_says_so() {
    let points = vec![Point::new(0.0, 1.0), Point::new(1.0, 1.0), Point::new(2.0, 3.0)];
    let series = vec![Series { name: "a".into(), points, ..Series::default() }];
    let svg = Lines { x: Axis::new("x", Scale::Log2), series, ..Lines::default() }.render();
    assert!(svg.as_str().contains("1 value cannot be shown on these axes"));
}

#[test]
fn the_best_cell_is_named() {
    let map = HeatMap {
        rows: vec!["slow".into(), "fast".into()],
        columns: vec!["64".into()],
        cells: vec![vec![Some(2.0)], vec![Some(1.0)]],
        ..HeatMap::default()
    };
    assert!(map.render().as_str().contains("lowest: 1 at fast, 64"));
    assert!(HeatMap { best: Best::Highest, ..map }.render().as_str().contains("highest: 2 at slow, 64"));
}

#[test]
fn parts_of_a_row_that_are_alike_are_one_shape_and_no_more_than_the_whole_is_drawn() {
    let kinds: Vec<Kind> = (0..2).map(|colour| Kind { name: colour.to_string(), colour }).collect();
    let rects = |parts: Vec<Vec<f64>>| {
        let rows = vec![ShareRow { label: "a".into(), parts, figure: String::new() }];
        let svg = Shares { end: 9.0, kinds: kinds.clone(), rows, ..Shares::default() }.render();
        check(&svg);
        // The legend has one of each kind.
        svg.as_str().matches("<rect").count() - 2
    };
    assert_eq!(rects(vec![vec![1.0, 0.0]; 100]), 1);
    assert_eq!(rects(vec![vec![0.5, 0.5], vec![0.5, 0.5], vec![0.25, 0.5]]), 4);
    assert_eq!(rects(vec![vec![0.0, 0.0], vec![1.0, 1.0], vec![f64::NAN, -1.0]]), 1);
}
