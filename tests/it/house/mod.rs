//! The house itself: its map, its arrows, the circles in its rooms, its form, and the manual that goes with it.

mod arrows;
mod circles;
mod figures;
mod images;
pub(crate) mod manual;
mod map;
mod paths;
mod tidy;
