//! The picture of a shard map: one lane per shard, its hash range as a bar, where it came from and what became of it.
//! Pure; it knows no SDK.
//!
//! ```text
//! shard  0                             2^128
//!     0  |░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░|  closed -> 1 2
//!     1  |███████████████               |  open   <- 0
//!     2  |               ███████████████|  open   <- 0
//! ```

/// One shard of the picture.
#[derive(Clone, Debug)]
pub(crate) struct Lane<'a> {
    /// `shardId-000000000003`
    pub(crate) shard_id: &'a str,
    /// The first hash key of its range.
    pub(crate) start: u128,
    /// The last.
    pub(crate) end: u128,
    /// Whether it takes records.
    pub(crate) is_open: bool,
    /// What it was made of: nothing, one shard, or two.
    pub(crate) parents: Vec<&'a str>,
}

/// Cells of a bar: fits 80 columns beside the longest words.
const WIDTH: u32 = 48;
/// log2 of how many hash keys there are, and of the fixed point that keeps the scaling exact enough.
const CELL_BITS: u32 = 16;

/// Draws the lanes in the order given.
pub(crate) fn draw(lanes: &[Lane<'_>]) -> String {
    let width = lanes.iter().map(|lane| short(lane.shard_id).len()).max().unwrap_or(0).max("shard".len());
    let mut text = format!(
        "{:>width$}  0{:>rest$}\n",
        "shard",
        "2^128",
        rest = usize::try_from(WIDTH).expect("small") + 1
    );
    for lane in lanes {
        let state = if lane.is_open { "open  " } else { "closed" };
        let mut relations = String::new();
        for parent in &lane.parents {
            relations += if relations.is_empty() { " <- " } else { " " };
            relations += short(parent);
        }
        let mut is_first_child = true;
        for child in lanes.iter().filter(|other| other.parents.contains(&lane.shard_id)) {
            relations += if is_first_child { " -> " } else { " " };
            relations += short(child.shard_id);
            is_first_child = false;
        }
        let line = format!("{:>width$}  |{}|  {state}{relations}", short(lane.shard_id), bar(lane));
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// The bar of one lane: at least one cell, however narrow its range.
fn bar(lane: &Lane<'_>) -> String {
    let first = cell(lane.start);
    let last = cell(lane.end).max(first);
    let filled = if lane.is_open { '█' } else { '░' };
    (0..WIDTH).map(|at| if (first..=last).contains(&at) { filled } else { ' ' }).collect()
}

/// The cell that a hash key falls into: hash key / 2^128 * WIDTH, rounded down.
fn cell(hash_key: u128) -> u32 {
    let scaled = u32::try_from(hash_key >> (128 - CELL_BITS)).expect("only CELL_BITS bits are left");
    (scaled * WIDTH) >> CELL_BITS
}

/// `shardId-000000000003` as `3`; anything else as it is.
fn short(shard_id: &str) -> &str {
    match shard_id.strip_prefix("shardId-") {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let significant = digits.trim_start_matches('0');
            if significant.is_empty() { "0" } else { significant }
        }
        _ => shard_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lanes: &[(&str, u128, u128, bool, &[&'static str])], expected: &[&str]) {
        let lanes: Vec<_> = lanes
            .iter()
            .map(|&(shard_id, start, end, is_open, parents)| Lane {
                shard_id,
                start,
                end,
                is_open,
                parents: parents.to_vec(),
            })
            .collect();
        assert_eq!(draw(&lanes), expected.join("\n") + "\n");
    }

    #[test]
    fn a_split_shard_stands_above_its_children() {
        let half = 1u128 << 127;
        check(
            &[
                ("shardId-000000000000", 0, u128::MAX, false, &[]),
                ("shardId-000000000001", 0, half - 1, true, &["shardId-000000000000"]),
                ("shardId-000000000002", half, u128::MAX, true, &["shardId-000000000000"]),
            ],
            &[
                "shard  0                                            2^128",
                "    0  |░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░|  closed -> 1 2",
                "    1  |████████████████████████                        |  open   <- 0",
                "    2  |                        ████████████████████████|  open   <- 0",
            ],
        );
    }

    #[test]
    fn a_merged_shard_has_two_parents() {
        let half = 1u128 << 127;
        check(
            &[
                ("shardId-000000000000", 0, half - 1, false, &[]),
                ("shardId-000000000001", half, u128::MAX, false, &[]),
                (
                    "shardId-000000000002",
                    0,
                    u128::MAX,
                    true,
                    &["shardId-000000000000", "shardId-000000000001"],
                ),
            ],
            &[
                "shard  0                                            2^128",
                "    0  |░░░░░░░░░░░░░░░░░░░░░░░░                        |  closed -> 2",
                "    1  |                        ░░░░░░░░░░░░░░░░░░░░░░░░|  closed -> 2",
                "    2  |████████████████████████████████████████████████|  open   <- 0 1",
            ],
        );
    }

    #[test]
    fn the_narrowest_shard_is_still_seen() {
        check(
            &[("shardId-000000012345", 7, 7, true, &[])],
            &[
                "shard  0                                            2^128",
                "12345  |█                                               |  open",
            ],
        );
    }
}
