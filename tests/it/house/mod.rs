//! The house itself: its map, its arrows, its form, and the manual that goes with it.

mod arrows;
mod figures;
mod images;
pub(crate) mod manual;
mod map;
mod paths;
mod tidy;
