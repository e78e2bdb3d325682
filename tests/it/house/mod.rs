//! The house itself: its map, its arrows, the circles in its rooms, its form, and the manual, package and chart that go
//! with it.

mod arrows;
mod cargo;
mod chart;
mod circles;
mod figures;
mod images;
pub(crate) mod manual;
mod map;
mod paths;
mod tidy;
