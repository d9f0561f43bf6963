//! KPL record aggregation, both ways.
