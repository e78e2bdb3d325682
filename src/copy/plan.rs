//! How an object is copied: a pure function of what it is and of what was asked for.

use super::request::PART_BYTES;
use super::{Options, Shallow};
use crate::base::ByteRange;
use crate::store::{Dialect, Error, ErrorKind, ObjectKind, ObjectMeta, Result, StorageClass};

/// The most parts of an object.
const MOST_PARTS: u64 = 10_000;

/// The smallest part that S3 takes before another, in bytes.
const LEAST_S3_PART: u64 = 5 << 20;

/// How an object is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// It is copied in one request.
    Single,
    /// In one request if the service does it at once, else in these parts.
    Shallow(Parts),
    /// It is copied in these parts.
    Parts(Parts),
}

/// An object cut into parts of one size, but for the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Parts {
    size: u64,
    part_bytes: u64,
}

/// What a plan depends on besides the object and the options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub(super) dialect: Dialect,
    /// Source and destination are in one bucket.
    pub(super) same_bucket: bool,
    /// The storage class that was asked for.
    pub(super) class: Option<&'a StorageClass>,
}

/// How an object is copied. Fails with [`ErrorKind::TooLarge`] where no parts are large enough.
pub(super) fn plan(meta: &ObjectMeta, setting: Setting<'_>, options: &Options) -> Result<Plan> {
    // A link is copied as a link; its size is that of what it names.
    if meta.kind == ObjectKind::Symlink || meta.size <= options.threshold_bytes {
        return Ok(Plan::Single);
    }
    let parts = Parts::of(meta.size, options.part_bytes, setting.dialect)?;
    let same_class = setting.class.is_none_or(|class| Some(class) == meta.storage_class.as_ref());
    let may_be_shallow = options.shallow == Shallow::Try
        && setting.dialect == Dialect::Oss
        && setting.same_bucket
        && same_class
        && meta.encryption.is_none();
    Ok(if may_be_shallow { Plan::Shallow(parts) } else { Plan::Parts(parts) })
}

impl Parts {
    /// Parts of this size, or of as many times this size as it takes to stay within 10,000.
    pub(super) fn of(size: u64, part_bytes: u64, dialect: Dialect) -> Result<Parts> {
        let least = match dialect {
            Dialect::Oss => *PART_BYTES.start(),
            Dialect::S3 => LEAST_S3_PART,
        };
        let wanted = part_bytes.max(least);
        let times = size / wanted.saturating_mul(MOST_PARTS) + 1;
        let parts = Parts { size, part_bytes: wanted.saturating_mul(times).min(*PART_BYTES.end()) };
        match parts.count() > MOST_PARTS {
            true => Err(Error::new(ErrorKind::TooLarge, format!("{size} bytes are more than 10,000 parts of 5 GiB"))),
            false => Ok(parts),
        }
    }

    /// Those that an upload was begun with, as the size of its largest part tells; `None` where that cannot be.
    pub(super) fn begun(size: u64, largest: u64) -> Option<Parts> {
        let parts = Parts { size, part_bytes: largest };
        (PART_BYTES.contains(&largest) && parts.count() <= MOST_PARTS).then_some(parts)
    }

    /// How many parts there are.
    pub(super) fn count(self) -> u64 {
        self.size.div_ceil(self.part_bytes)
    }

    /// The bytes of a part; parts are numbered from 1. Empty for a number that there is not.
    pub(super) fn range(self, number: u32) -> ByteRange {
        let start = u64::from(number.saturating_sub(1)).saturating_mul(self.part_bytes);
        ByteRange::at(start.min(self.size), self.part_bytes).intersect(ByteRange::new(0, self.size))
    }

    /// The numbers of the parts, from 1 on.
    pub(super) fn numbers(self) -> std::ops::RangeInclusive<u32> {
        // At most 10,000.
        1..=self.count() as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn setting(same_bucket: bool) -> Setting<'static> {
        Setting { dialect: Dialect::Oss, same_bucket, class: None }
    }

    fn planned(size: u64, setting: Setting<'_>) -> Plan {
        let meta = ObjectMeta { size, storage_class: Some(StorageClass("Standard".into())), ..ObjectMeta::default() };
        plan(&meta, setting, &Options::default()).unwrap()
    }

    #[test]
    fn one_request_up_to_the_threshold_and_parts_above() {
        let parts = |size| Parts { size, part_bytes: 64 * MIB };
        assert_eq!(planned(0, setting(false)), Plan::Single);
        assert_eq!(planned(200 * MIB, setting(false)), Plan::Single);
        assert_eq!(planned(200 * MIB + 1, setting(false)), Plan::Parts(parts(200 * MIB + 1)));
        assert_eq!(planned(200 * MIB + 1, setting(true)), Plan::Shallow(parts(200 * MIB + 1)));
        let link = ObjectMeta { size: 1 << 40, kind: ObjectKind::Symlink, ..ObjectMeta::default() };
        assert_eq!(plan(&link, setting(true), &Options::default()).unwrap(), Plan::Single);
    }

    #[test]
    fn shallow_copies_are_tried_only_where_they_can_work() {
        let meta = ObjectMeta {
            size: 300 * MIB,
            storage_class: Some(StorageClass("Standard".into())),
            ..ObjectMeta::default()
        };
        let is_shallow = |meta: &ObjectMeta, setting: Setting<'_>, options: &Options| {
            matches!(plan(meta, setting, options).unwrap(), Plan::Shallow(_))
        };
        let (options, here) = (Options::default(), setting(true));
        let [standard, archive] = ["Standard", "Archive"].map(|class| StorageClass(class.into()));
        assert!(is_shallow(&meta, here, &options));
        assert!(is_shallow(&meta, Setting { class: Some(&standard), ..here }, &options));
        assert!(!is_shallow(&meta, Setting { class: Some(&archive), ..here }, &options));
        assert!(!is_shallow(&meta, setting(false), &options));
        assert!(!is_shallow(&meta, Setting { dialect: Dialect::S3, ..here }, &options));
        assert!(!is_shallow(&meta, here, &Options { shallow: Shallow::Off, ..options.clone() }));
        assert!(!is_shallow(&ObjectMeta { encryption: Some("KMS".into()), ..meta }, here, &options));
    }

    #[test]
    fn parts_grow_with_the_object() {
        for (size, part_bytes, count) in [
            (200 << 30, 64 * MIB, 3200),
            // The last size that needs no larger parts, and the next.
            (64 * MIB * 10_000 - 1, 64 * MIB, 10_000),
            (64 * MIB * 10_000, 128 * MIB, 5000),
            (1 << 40, 128 * MIB, 8192),
        ] {
            let parts = Parts::of(size, 64 * MIB, Dialect::Oss).unwrap();
            assert_eq!((parts.part_bytes, parts.count()), (part_bytes, count), "{size}");
        }
        assert_eq!(Parts::of(20 * MIB, MIB, Dialect::S3).unwrap().part_bytes, 5 * MIB);
        let most = (5 << 30) * 10_000;
        assert_eq!(Parts::of(most, 3 << 30, Dialect::Oss).unwrap().count(), 10_000);
        assert_eq!(Parts::of(most + 1, 64 * MIB, Dialect::Oss).unwrap_err().kind(), ErrorKind::TooLarge);
    }

    proptest! {
        #[test]
        fn parts_are_the_object_in_order_and_never_too_many(
            size in 1..60_000_000_000_000_u64,
            wanted in PART_BYTES,
            s3 in any::<bool>(),
        ) {
            let dialect = if s3 { Dialect::S3 } else { Dialect::Oss };
            let Ok(parts) = Parts::of(size, wanted, dialect) else {
                prop_assert!(size > (5 << 30) * 10_000);
                return Ok(());
            };
            prop_assert!(parts.count() <= MOST_PARTS && parts.count() >= 1);
            let mut next = 0;
            for number in parts.numbers() {
                let range = parts.range(number);
                prop_assert_eq!(range.start, next);
                prop_assert!(!range.is_empty() && range.len() <= 5 << 30);
                prop_assert!(u64::from(number) == parts.count() || range.len() == parts.part_bytes);
                next = range.end;
            }
            prop_assert_eq!(next, size);
            prop_assert!(parts.range(parts.count() as u32 + 1).is_empty() && parts.range(u32::MAX).is_empty());
            prop_assert_eq!(Parts::begun(size, parts.range(1).len()).is_some(), PART_BYTES.contains(&parts.range(1).len()));
        }
    }
}
