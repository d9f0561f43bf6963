//! A chart of horizontal bars: from a tenth of the smallest value on, each factor of ten is as long.

use crate::report::svg::{OURS, Svg, THEIRS};

/// A line of the chart.
pub(crate) enum Row {
    /// What the bars below it have in common.
    Heading(String),
    Bar {
        label: String,
        value: f64,
        /// The value, as it is written behind the bar.
        text: String,
        ours: bool,
    },
}

const WIDTH: f64 = 860.0;
const LABELS: f64 = 280.0;
const VALUES: f64 = 90.0;
const ROW: f64 = 20.0;
const TOP: f64 = 34.0;

/// Draws it.
pub(crate) fn draw(title: &str, rows: &[Row]) -> String {
    let values = rows.iter().filter_map(|row| match row {
        Row::Bar { value, .. } if *value > 0.0 => Some(*value),
        _ => None,
    });
    let (smallest, largest) =
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let room = WIDTH - LABELS - VALUES;
    let floor = smallest / 10.0;
    let length = |value: f64| room * (value / floor).log10().max(0.0) / (largest / floor).log10().max(1.0);
    let mut svg = Svg::new();
    svg.text(0.0, 16.0, "start", 14, &format!("{title} (logarithmic)"));
    let mut y = TOP;
    for row in rows {
        match row {
            Row::Heading(words) => {
                y += 6.0;
                svg.text(0.0, y + 13.0, "start", 12, words);
            }
            Row::Bar { label, value, text, ours } => {
                svg.text(LABELS - 8.0, y + 13.0, "end", 12, label);
                let long = length(*value);
                svg.bar(LABELS, y + 3.0, long, ROW - 6.0, if *ours { OURS } else { THEIRS });
                svg.text(LABELS + long + 6.0, y + 13.0, "start", 12, text);
            }
        }
        y += ROW;
    }
    svg.finish(WIDTH, y + 10.0, title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_with_their_values_and_escape_their_words() {
        let bar = |label: &str, value| Row::Bar {
            label: label.to_owned(),
            value,
            text: String::new(),
            ours: false,
        };
        let svg = draw("T", &[bar("a<b", 10.0), bar("c", 1000.0)]);
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect"))
            .map(|line| {
                let rest = line.split_once("width=\"").expect("it has a width").1;
                rest[..rest.find('"').expect("it ends")].parse().expect("a number")
            })
            .collect();
        assert_eq!(widths.len(), 2);
        assert!((widths[1] / widths[0] - 3.0).abs() < 0.01, "{widths:?}");
        assert!(svg.contains("a&lt;b"));
    }
}
