//! The house itself: its map, its arrows, the circles in its rooms, its form, and the manual and chart that go with it.

mod arrows;
mod chart;
mod circles;
mod figures;
mod images;
pub(crate) mod manual;
mod map;
mod paths;
mod tidy;
