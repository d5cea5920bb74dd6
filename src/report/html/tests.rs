use super::*;
use crate::report::plot::{Lines, Point, Series};

const HOSTILE: &str = "<script>alert('x')</script>\" onload=\"x";

#[test]
fn every_text_is_escaped() {
    let text = || HOSTILE.to_owned();
    let table = Table {
        caption: text(),
        columns: vec![Column::text(text()), Column::number("n")],
        rows: vec![vec![text().into()], vec!["a".into(), "1".into(), "too many".into()]],
    };
    let plot = Lines {
        title: text(),
        description: text(),
        series: vec![Series { name: text(), points: vec![Point::new(1.0, 2.0)], ..Series::default() }],
        ..Lines::default()
    };
    let blocks = vec![
        Block::Prose(text()),
        Block::Points(vec![text()]),
        Block::Verbatim(text()),
        Block::Table(table),
        Block::Figure(Figure { caption: text(), svg: plot.render() }),
    ];
    let details = Block::Details { summary: text(), blocks: blocks.clone() };
    let page = Page {
        title: text(),
        subtitle: text(),
        cards: vec![Card { label: text(), value: text(), note: text(), tone: Tone::Good }],
        sections: vec![Section { title: text(), blocks: [blocks, vec![details]].concat() }],
        footer: text(),
    };
    let html = page.render();
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("alert('x')</"), "{html}");
    assert!(html.contains("&lt;script&gt;"));
    assert!(!html.contains("too many"));
    // Markup of plots and of what is folded away is not escaped a second time.
    assert!(!html.contains("&lt;svg") && !html.contains("&lt;p") && !html.contains("&amp;lt;"));
    assert_eq!(html.matches("<svg ").count(), 2);
}

#[test]
fn an_empty_page_is_a_page() {
    let html = Page { title: "Nothing".into(), ..Page::default() }.render();
    assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"));
    assert!(html.contains("<h1>Nothing</h1>") && !html.contains("<nav") && !html.contains("<footer"));
}
