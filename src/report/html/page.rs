//! What a page holds, and the page as text.

use minijinja::{Environment, Value, context};
use serde::{Serialize, Serializer};

use crate::report::plot::{STYLE, Svg};

/// How autoescaping knows that it is HTML.
const TEMPLATE: &str = "page.html";

/// A page.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Page {
    /// The title, also of the window.
    pub title: String,
    /// A line below it: what, where, when.
    pub subtitle: String,
    /// The headline figures.
    pub cards: Vec<Card>,
    /// The parts, in order; from three on there is a list of them at the top.
    pub sections: Vec<Section>,
    /// The last line: which tool made this, from what.
    pub footer: String,
}

/// Whether a figure is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Neither.
    #[default]
    Neutral,
    /// Good.
    Good,
    /// Bad.
    Bad,
}

/// A headline figure.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Card {
    /// What the figure is: `median speed-up`.
    pub label: String,
    /// The figure with its unit: `1.31×`.
    pub value: String,
    /// What it rests on, in small print; may be empty.
    pub note: String,
    /// Whether it is good news.
    pub tone: Tone,
}

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What it holds, in order.
    pub blocks: Vec<Block>,
}

/// Something in a section.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Prose(String),
    /// Points, one a line.
    Points(Vec<String>),
    /// Text that keeps its lines: a command, a log.
    Verbatim(String),
    /// A table.
    Table(Table),
    /// A plot.
    Figure(Figure),
    /// Something folded away until it is asked for; printed unfolded where the browser can.
    Details {
        /// What it is, always visible.
        summary: String,
        /// What is folded away.
        blocks: Vec<Block>,
    },
}

/// A plot with a caption.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What is to be seen.
    pub caption: String,
    /// The plot.
    #[serde(serialize_with = "markup")]
    pub svg: Svg,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Table {
    /// What it shows; may be empty.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows. A missing cell is empty, one too many is not shown.
    pub rows: Vec<Vec<Cell>>,
}

/// A column's heading and which edge its cells keep to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Column {
    /// The heading, with the unit of figures.
    pub title: String,
    /// Which edge the cells keep to.
    pub align: Align,
}

impl Column {
    /// A column of words.
    pub fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), align: Align::Text }
    }

    /// A column of figures.
    pub fn number(title: impl Into<String>) -> Self {
        Self { title: title.into(), align: Align::Number }
    }
}

/// Which edge the cells of a column keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// Words: the left edge.
    #[default]
    Text,
    /// Figures: the right edge, every digit as wide as the others.
    Number,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// Whether it is good news.
    pub tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Neutral }
    }
}

fn markup<S: Serializer>(svg: &Svg, serializer: S) -> Result<S::Ok, S::Error> {
    // Every plot carries its style for when it stands alone; on a page once is enough.
    let bare = svg.as_str().replacen(&format!("<style>{STYLE}</style>\n"), "", 1);
    Value::from_safe_string(bare).serialize(serializer)
}

impl Page {
    /// The whole page as HTML.
    pub fn render(&self) -> String {
        let mut environment = Environment::new();
        environment
            .add_template(TEMPLATE, include_str!("page.html"))
            .and_then(|()| environment.get_template(TEMPLATE))
            .and_then(|template| template.render(context! { page => self, plot_style => STYLE }))
            .expect("the template is part of the program and a page is plain data")
    }
}
