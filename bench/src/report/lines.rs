//! Small line charts beside one another: values against one quantity.

use crate::report::markdown::number;
use crate::report::svg::Svg;

/// One panel.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 280.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 46.0;

/// Draws panels beside one another; the horizontal axis is logarithmic, the vertical one begins at zero.
pub(crate) fn draw(title: &str, axis: &str, panels: &[Panel]) -> String {
    let mut svg = Svg::new();
    svg.text(0.0, 16.0, "start", 14, title);
    for (index, panel) in panels.iter().enumerate() {
        one(&mut svg, panel, axis, index as f64 * WIDTH);
    }
    svg.finish(WIDTH * panels.len() as f64 + 20.0, TOP + HEIGHT, title)
}

fn one(svg: &mut Svg, panel: &Panel, axis: &str, start: f64) {
    let (first, last) = match (panel.points.first(), panel.points.last()) {
        (Some(first), Some(last)) => (first.0.max(0.1), last.0),
        _ => return,
    };
    let top = panel.points.iter().map(|(_, y)| *y).fold(0.0, f64::max) * 1.15;
    let (left, right) = (start + LEFT, start + WIDTH - 16.0);
    let (low, high) = (TOP + HEIGHT - BOTTOM, TOP + 14.0);
    let across = |x: f64| {
        let whole = (last / first).log10();
        left + (right - left) * if whole > 0.0 { (x.max(first) / first).log10() / whole } else { 0.5 }
    };
    let up = |y: f64| low - (low - high) * if top > 0.0 { y / top } else { 0.0 };
    svg.text(left, TOP, "start", 12, &panel.title);
    svg.line((left, low), (right, low));
    svg.line((left, low), (left, high));
    for part in [0.0, 0.5, 1.0] {
        let value = top / 1.15 * part;
        svg.text(left - 5.0, up(value) + 4.0, "end", 10, &number(value));
        svg.line((left, up(value)), (right, up(value)));
    }
    let points: Vec<(f64, f64)> = panel.points.iter().map(|(x, y)| (across(*x), up(*y))).collect();
    for ((x, _), at) in panel.points.iter().zip(&points) {
        svg.text(at.0, low + 14.0, "middle", 10, &number_of_axis(*x));
    }
    svg.text((left + right) / 2.0, low + 28.0, "middle", 10, axis);
    svg.path(&points);
}

fn number_of_axis(value: f64) -> String {
    if value.fract() == 0.0 && value < 1000.0 { format!("{value:.0}") } else { number(value) }
}
