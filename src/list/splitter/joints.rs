//! Where two segments meet, both can show the same name: the one that ends there mostly shows the first name behind its
//! end, since a page does not stop at it, and the one that begins there begins with that name. On a server that keeps
//! its keys in another order than that of the bytes, one of them shows a name that the other does not have, though
//! each for itself may come in order. So a name that only one of them shows tells that names may be lost between them.

use std::collections::BTreeMap;

/// What has been shown at each place where segments meet.
#[derive(Debug, Default)]
pub(super) struct Joints(BTreeMap<Box<str>, Joint>);

#[derive(Debug, Default)]
struct Joint {
    /// The first name behind it, as the segment has shown that ends here.
    foretold: Option<Box<str>>,
    /// The first name behind it, or that there is none, as the segment has shown that begins here.
    begun: Option<Option<Box<str>>>,
}

impl Joints {
    /// The segment that begins here begins with this name, or holds none. Whether that fits what is known.
    pub(super) fn begins(&mut self, place: &str, first: Option<&str>) -> bool {
        let joint = self.0.entry(place.into()).or_default();
        joint.begun = Some(first.map(Into::into));
        joint.fits()
    }

    /// The segment that ends here shows this name as the first one behind its end. Whether that fits what is known.
    pub(super) fn foretell(&mut self, place: &str, first: &str) -> bool {
        let joint = self.0.entry(place.into()).or_default();
        joint.foretold = Some(first.into());
        joint.fits()
    }
}

impl Joint {
    fn fits(&self) -> bool {
        match (&self.foretold, &self.begun) {
            (Some(foretold), Some(begun)) => begun.as_ref() == Some(foretold),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_must_show_the_same_name() {
        for (foretold, begun, fits) in
            [("c", Some("c"), true), ("c", Some("d"), false), ("d", Some("c"), false), ("c", None, false)]
        {
            let mut joints = Joints::default();
            assert!(joints.foretell("b", foretold) && joints.begins("other", Some("x")));
            assert_eq!(joints.begins("b", begun), fits, "{foretold} then {begun:?}");
            let mut joints = Joints::default();
            assert!(joints.begins("b", begun));
            assert_eq!(joints.foretell("b", foretold), fits, "{begun:?} then {foretold}");
        }
    }
}
