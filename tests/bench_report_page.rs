//! The pages of a benchmark in a real browser. Their runs are made up.
//!
//! The looks are ignored by default: they need Chromium.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/made_up_run.rs"]
mod made_up_run;

use browser::{assert_readable, assert_renders, assert_self_contained};
use made_up_run::{MadeUp, made_up};
use spark::bench::compare::{CompareOptions, compare};
use spark::commands::bench::report_page::{comparison_page, repeats_page, run_page, sweep_page};

/// Name, page, sections.
fn pages() -> Vec<(&'static str, String, usize)> {
    let eventful = MadeUp { failed_share: 0.015, stall_at_s: Some(20.0), ..MadeUp::default() };
    let open = MadeUp { rate: Some(8.0), ..eventful.clone() };
    let sweep: Vec<_> = [1, 2, 4, 8, 16, 32, 64, 128]
        .map(|concurrency| {
            made_up(&MadeUp { concurrency, requests: 60 + 4 * concurrency, ..MadeUp::default() })
        })
        .into();
    let repeats = [1, 2, 3].map(|seed| made_up(&MadeUp { seed, ..eventful.clone() }));
    let slower = made_up(&MadeUp { seed: 2, slowdown: 1.08, ..eventful.clone() });
    let compared = compare(&[made_up(&eventful)], &[slower], CompareOptions::default()).unwrap();
    vec![
        ("bench-run", run_page(&made_up(&eventful)).html(), 6),
        ("bench-open", run_page(&made_up(&open)).html(), 6),
        ("bench-sweep", sweep_page(&sweep).html(), 3),
        ("bench-repeats", repeats_page(&repeats).html(), 4),
        ("bench-compare", comparison_page(&compared).html(), 1),
    ]
}

#[test]
fn they_are_self_contained_and_readable() {
    for (_, html, _) in pages() {
        assert_self_contained(&html);
        assert_readable(&html);
    }
}

#[test]
#[ignore = "opens Chromium; CI runs it"]
fn they_render_in_a_browser() {
    for (name, html, sections) in pages() {
        assert_renders(name, &html, sections);
    }
}
